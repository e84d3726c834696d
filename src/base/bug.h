/* base/bug.h - planted bugs: faults such as a competent author could write, for the simulator to
 * find. They are there only in a build with -Dbugs=true, and only the one that is planted acts;
 * in every other build BUG() is the constant false.
 *
 * BUG(NAME) stands where the fault would be: `if (stale && !BUG(OLD_SESSION_ANSWER)) return;`
 */
#ifndef BASE_BUG_H
#define BASE_BUG_H

#include <stdbool.h>

/* Name, the contract that it breaks (design 4; "-": the thesis alone), what the author did. */
#define BUG_TABLE(X)                                                                               \
    X(VOTE_TWICE, "-", "a voter forgets its vote: it grants each who asks in a term")

enum bug {
    BUG_NONE,
#define BUG_VALUE(name, contract, text) BUG_##name,
    BUG_TABLE(BUG_VALUE)
#undef BUG_VALUE
        BUGS
};

#ifdef MORTAR_BUGS
/* Set by the simulator before anything runs. */
extern enum bug bug_planted;
#define BUG(name) (bug_planted == BUG_##name)
#else
#define BUG(name) false
#endif

#endif

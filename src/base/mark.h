/* base/mark.h - branch marks: how often the simulator came by the branches worth explaining.
 *
 * MARK(NAME) counts in a build with -Dbugs=true, and is nothing in every other one. It changes
 * nothing else. mortar-sim --marks prints the counts. A name stands in one place only. What honest
 * members never come by, such as a second leader of a term, has no mark: a judge looks there.
 */
#ifndef BASE_MARK_H
#define BASE_MARK_H

#include <stdint.h>

/* With -Dbugs=true all of them lie side by side in one section of the program, so that no list is
 * kept by hand. */
struct mark {
    const char *name;
    uint64_t count;
};

#ifdef MORTAR_BUGS
#define MARK(mark_name)                                                                            \
    do {                                                                                           \
        static struct mark mark_here                                                               \
            __attribute__((section("mortar_marks"), used, aligned(16))) = {#mark_name, 0};         \
        mark_here.count++;                                                                         \
    } while (0)
#else
#define MARK(mark_name) ((void)0)
#endif

#endif

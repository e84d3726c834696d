/* base/bug.c - which bug is planted. Built with -Dbugs=true only. */
#include "base/bug.h"

#ifdef MORTAR_BUGS
enum bug bug_planted = BUG_NONE;
#endif

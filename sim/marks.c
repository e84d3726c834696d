/* sim/marks.c - sums the marks of all jobs in memory that they share. */
#include "sim/marks.h"

#include <stdio.h>

#ifdef MORTAR_BUGS
#include "base/mark.h"

#include <inttypes.h>
#include <stddef.h>
#include <sys/mman.h>

/* The linker names both ends of the section. Weak, as a program may have no mark at all. */
extern struct mark marks_first[] __asm__("__start_mortar_marks") __attribute__((weak));
extern struct mark marks_end[] __asm__("__stop_mortar_marks") __attribute__((weak));

static uint64_t *sums; /* Shared by all jobs; NULL: nobody asked. */

static size_t mark_count(void)
{
    return (size_t)(marks_end - marks_first);
}

bool marks_open(void)
{
    const size_t bytes = mark_count() * sizeof *sums;
    void *block = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) return false;
    sums = block;
    return true;
}

void marks_gather(void)
{
    for (size_t i = 0; sums != NULL && i < mark_count(); i++) {
        (void)__atomic_fetch_add(&sums[i], marks_first[i].count, __ATOMIC_RELAXED);
        marks_first[i].count = 0;
    }
}

void marks_print(void)
{
    for (size_t i = 0; sums != NULL && i < mark_count(); i++) {
        (void)printf("mark %-28s %" PRIu64 "\n", marks_first[i].name, sums[i]);
    }
}

void marks_print_json(void)
{
    if (sums == NULL) return;
    (void)printf(",\"marks\":{");
    for (size_t i = 0; i < mark_count(); i++) {
        (void)printf("%s\"%s\":%" PRIu64, i == 0 ? "" : ",", marks_first[i].name, sums[i]);
    }
    (void)printf("}");
}

uint32_t marks_rare(uint64_t min)
{
    uint32_t rare = 0;
    for (size_t i = 0; sums != NULL && i < mark_count(); i++) {
        if (sums[i] >= min) continue;
        rare++;
        (void)fprintf(stderr, "mark %s was hit %" PRIu64 " times, not %" PRIu64 "\n",
                      marks_first[i].name, sums[i], min);
    }
    return rare;
}
#else
bool marks_open(void)
{
    (void)fprintf(stderr, "--marks: built without -Dbugs=true (tools/setup.sh bugs)\n");
    return false;
}

void marks_gather(void) {}

void marks_print(void) {}

void marks_print_json(void) {}

uint32_t marks_rare(uint64_t min)
{
    (void)min;
    return 0;
}
#endif

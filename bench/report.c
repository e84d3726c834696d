#include "bench/report.h"

#include <stdio.h>
#include <stdlib.h>

struct field {
    const char *name;
    double number;
};

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

double report_median(double *values, uint32_t count)
{
    if (count == 0) return 0;
    qsort(values, count, sizeof values[0], compare);
    if (count % 2 == 1) return values[count / 2];
    return (values[count / 2 - 1] + values[count / 2]) / 2;
}

void report_heading(const char *bench)
{
    (void)printf("\n%s\n%-20s %12s %-8s %10s %10s %12s %7s %12s\n", bench, "case", "value", "unit",
                 "p50 us", "p99 us", "reference", "ratio", "extra bytes");
    (void)fflush(stdout);
}

/* A number that takes about six columns: 1234567 becomes 1.23 M. */
static void print_short(double number, int columns)
{
    char text[32];
    if (number < 0)
        (void)snprintf(text, sizeof text, "-");
    else if (number >= 1e9)
        (void)snprintf(text, sizeof text, "%.3f G", number / 1e9);
    else if (number >= 1e6)
        (void)snprintf(text, sizeof text, "%.2f M", number / 1e6);
    else if (number >= 1e4)
        (void)snprintf(text, sizeof text, "%.1f k", number / 1e3);
    else if (number >= 100)
        (void)snprintf(text, sizeof text, "%.0f", number);
    else
        (void)snprintf(text, sizeof text, "%.2f", number);
    (void)printf(" %*s", columns, text);
}

static void append_json(const struct report *report, const char *path)
{
    const struct field fields[] = {
        {"p50_us", report->p50_us},
        {"p99_us", report->p99_us},
        {"reference", report->reference},
        {"ratio", report->ratio},
        {"extra_bytes", report->extra_bytes},
        {"sources", report->sources},
        {"seconds", report->seconds},
        {"join_seconds", report->join_seconds},
        {"leader_bytes", report->leader_bytes},
        {"discarded_bytes", report->discarded_bytes},
        {"rate_1src", report->rate_1src},
        {"rate_3src", report->rate_3src},
        {"min", report->min},
        {"max", report->max},
        {"runs", report->runs},
    };
    FILE *file = fopen(path, "ae");
    if (!file) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    (void)fprintf(file, "{\"bench\":\"%s\",\"case\":\"%s\",\"value\":%.10g,\"unit\":\"%s\"",
                  report->bench, report->name, report->value, report->unit);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (fields[i].number >= 0)
            (void)fprintf(file, ",\"%s\":%.10g", fields[i].name, fields[i].number);
    (void)fprintf(file, "}\n");
    if (fclose(file) != 0) {
        perror(path);
        exit(EXIT_FAILURE);
    }
}

void report_print(const struct report *report)
{
    const char *path = getenv("BENCH_JSON");
    (void)printf("%-20s", report->name);
    print_short(report->value, 12);
    (void)printf(" %-8s", report->unit);
    print_short(report->p50_us, 10);
    print_short(report->p99_us, 10);
    print_short(report->reference, 12);
    print_short(report->ratio, 7);
    print_short(report->extra_bytes, 12);
    (void)printf("\n");
    (void)fflush(stdout);
    if (path && path[0] != '\0') append_json(report, path);
}

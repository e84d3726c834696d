#define _GNU_SOURCE
/* bench/member_process.c - the process behind bench/member.h: a node, a group, a machine that only
 * counts, and the load that is generated inside it. */
#include "bench/member.h"
#include "mortar/node.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 110000,
    SAMPLES_MAX = 1 << 23,
    DEPTH_MAX = 1024,
    COMMAND_BYTES_MAX = 64 * 1024,
    LOAD_BATCH_BYTES = 512 * 1024,
    LOAD_BATCH_COMMANDS = 2048,
    LOAD_BATCHES_MAX = 8, /* Under way at once. */
    WARM_UP_US = 300000,  /* Of a closed loop; not counted. */
    WATCH_US = 2000,
    TERM_WATCH_MS = 100,
    NUMBERS_MAX = 3 /* Of one line. */
};

struct machine {
    _Atomic uint64_t commands; /* Other threads look at it. */
    uint64_t bytes;
};

enum loop_kind { LOOP_COMMIT, LOOP_READ, LOOP_READ_LOCAL };

struct load {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint32_t flying;
    enum mortar_status failed;
};

struct slot {
    struct process *process;
    uint64_t sent_us;
};

/* A closed loop. Its fields belong to the node's thread while it runs. */
struct loop {
    enum loop_kind kind;
    struct slot slots[DEPTH_MAX];
    struct mortar_bytes command;
    uint64_t begin_us; /* After the warm-up. */
    uint64_t end_us;
    uint32_t *samples; /* In us. */
    uint32_t sample_count;
};

struct process {
    struct machine machine;
    struct mortar_machine_ops ops;
    struct mortar_sync_method *method;
    struct mortar_sync_method pruning_method; /* `method`, except that it prunes. */
    struct mortar_sync_provider_ops pruning_ops;
    _Atomic uint64_t keep_entries; /* 0: all. */
    struct mortar_replay_options replay;
    struct mortar_node *node;
    struct mortar_group *group;
    struct mortar_node_options options;
    uint32_t voters;
    struct load load;
    struct loop loop;
    uint8_t *command;
};

static struct process the_process = {
    .load = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER}};

/* ---- Small things ---- */

static uint64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* It cannot fail. */
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void pause_us(uint64_t us)
{
    const struct timespec span = {.tv_sec = (time_t)(us / 1000000),
                                  .tv_nsec = (long)(us % 1000000 * 1000)};
    (void)nanosleep(&span, NULL);
}

static void *heap_reserve(void *context, size_t bytes)
{
    (void)context;
    return malloc(bytes);
}

static void *heap_resize(void *context, void *block, size_t old_bytes, size_t new_bytes)
{
    (void)context;
    (void)old_bytes;
    return realloc(block, new_bytes);
}

static void heap_release(void *context, void *block, size_t bytes)
{
    (void)context;
    (void)bytes;
    free(block);
}

static const struct mortar_allocator heap = {
    .reserve = heap_reserve, .resize = heap_resize, .release = heap_release};

static void machine_apply(void *state, struct mortar_apply *run)
{
    struct machine *machine = state;
    for (uint32_t i = 0; i < run->count; i++)
        machine->bytes += run->commands[i].bytes.bytes;
    machine->commands += run->count;
}

static enum mortar_status machine_query(void *state, struct mortar_bytes query,
                                        struct mortar_answer *answer)
{
    const struct machine *machine = state;
    const uint64_t commands = machine->commands;
    (void)query;
    return mortar_answer_write(answer,
                               (struct mortar_bytes){(const void *)&commands, sizeof commands});
}

/* Commands are fewer than entries, so this is never above what is applied. The method's provider,
 * which is what we are given, does not know our process. */
static uint64_t prune_prefix(void *provider)
{
    (void)provider;
    const uint64_t applied = the_process.machine.commands;
    const uint64_t keep = the_process.keep_entries;
    if (keep == 0) return MORTAR_SYNC_NO_PRUNE;
    return applied > keep ? applied - keep : 0;
}

/* A line of /proc/self/status, in bytes; 0: not there. */
static uint64_t memory_of(const char *name)
{
    char line[256];
    uint64_t kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "re");
    if (!file) return 0;
    while (fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0)
            kilobytes = strtoull(line + strlen(name) + 1, NULL, 10);
    (void)fclose(file);
    return kilobytes * 1024;
}

static enum mortar_status until(struct process *process, enum mortar_condition_kind kind,
                                uint64_t index)
{
    const struct mortar_condition condition = {.kind = kind, .index = index};
    return mortar_group_wait(process->group, condition, PATIENCE_MS);
}

/* ---- load: batches, a few under way ---- */

static void load_done(void *argument, const struct mortar_result *result)
{
    struct load *load = argument;
    (void)pthread_mutex_lock(&load->mutex);
    load->flying--;
    if (result->status != MORTAR_OK) load->failed = result->status;
    (void)pthread_cond_signal(&load->changed);
    (void)pthread_mutex_unlock(&load->mutex);
}

static enum mortar_status load_batch(struct process *process, const struct mortar_bytes *commands,
                                     uint32_t count)
{
    struct load *load = &process->load;
    enum mortar_status status = MORTAR_E_BUSY;
    while (status == MORTAR_E_BUSY) {
        (void)pthread_mutex_lock(&load->mutex);
        while (load->flying >= LOAD_BATCHES_MAX)
            (void)pthread_cond_wait(&load->changed, &load->mutex);
        status = load->failed;
        if (status == MORTAR_OK)
            status = mortar_group_execute_many_async(process->group, commands, count, PATIENCE_MS,
                                                     load_done, load);
        if (status == MORTAR_OK) load->flying++;
        (void)pthread_mutex_unlock(&load->mutex);
        if (status == MORTAR_E_BUSY) pause_us(500);
    }
    return status;
}

static enum mortar_status load(struct process *process, uint64_t count, uint32_t bytes)
{
    static struct mortar_bytes commands[LOAD_BATCH_COMMANDS];
    uint64_t batch = LOAD_BATCH_BYTES / bytes;
    enum mortar_status status = MORTAR_OK;
    if (batch > LOAD_BATCH_COMMANDS) batch = LOAD_BATCH_COMMANDS;
    for (uint64_t i = 0; i < batch; i++)
        commands[i] = (struct mortar_bytes){process->command, bytes};
    process->load.failed = MORTAR_OK;
    for (uint64_t left = count; left > 0 && status == MORTAR_OK;) {
        const uint64_t now = left < batch ? left : batch;
        status = load_batch(process, commands, (uint32_t)now);
        left -= now;
    }
    (void)pthread_mutex_lock(&process->load.mutex);
    while (process->load.flying > 0)
        (void)pthread_cond_wait(&process->load.changed, &process->load.mutex);
    if (status == MORTAR_OK) status = process->load.failed;
    (void)pthread_mutex_unlock(&process->load.mutex);
    return status;
}

/* ---- commit, read: a closed loop; each completion sends the next command, or query ---- */

static void slot_done(void *argument, const struct mortar_result *result);

static bool slot_send(struct slot *slot)
{
    struct process *process = slot->process;
    const struct loop *loop = &process->loop;
    slot->sent_us = now_us();
    switch (loop->kind) {
    case LOOP_COMMIT:
        return mortar_group_execute_async(process->group, loop->command, PATIENCE_MS, slot_done,
                                          slot) == MORTAR_OK;
    case LOOP_READ:
        return mortar_group_query_async(process->group, loop->command, MORTAR_READ_LINEARIZABLE,
                                        PATIENCE_MS, slot_done, slot) == MORTAR_OK;
    case LOOP_READ_LOCAL:
        return mortar_group_query_async(process->group, loop->command, MORTAR_READ_LOCAL,
                                        PATIENCE_MS, slot_done, slot) == MORTAR_OK;
    }
    return false;
}

static void slot_done(void *argument, const struct mortar_result *result)
{
    struct slot *slot = argument;
    struct process *process = slot->process;
    struct loop *loop = &process->loop;
    const uint64_t now = now_us();
    if (result->status == MORTAR_OK && slot->sent_us >= loop->begin_us && now < loop->end_us &&
        loop->sample_count < SAMPLES_MAX)
        loop->samples[loop->sample_count++] = (uint32_t)(now - slot->sent_us);
    if (result->status == MORTAR_OK && now < loop->end_us && slot_send(slot)) return;
    const struct mortar_result end = {.status = now >= loop->end_us ? MORTAR_OK : MORTAR_E_FAILED};
    load_done(&process->load, &end);
}

static int compare_samples(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static enum mortar_status run_loop(struct process *process, enum loop_kind kind, uint32_t depth,
                                   uint32_t bytes, uint64_t ms)
{
    struct loop *loop = &process->loop;
    loop->kind = kind;
    loop->command = (struct mortar_bytes){process->command, bytes};
    loop->sample_count = 0;
    loop->begin_us = now_us() + WARM_UP_US;
    loop->end_us = loop->begin_us + ms * 1000;
    process->load.failed = MORTAR_OK;
    process->load.flying = depth;
    for (uint32_t i = 0; i < depth; i++) {
        loop->slots[i].process = process;
        if (slot_send(&loop->slots[i])) continue;
        const struct mortar_result refused = {.status = MORTAR_E_FAILED};
        load_done(&process->load, &refused);
    }
    (void)pthread_mutex_lock(&process->load.mutex);
    while (process->load.flying > 0)
        (void)pthread_cond_wait(&process->load.changed, &process->load.mutex);
    const enum mortar_status status = process->load.failed;
    (void)pthread_mutex_unlock(&process->load.mutex);
    qsort(loop->samples, loop->sample_count, sizeof loop->samples[0], compare_samples);
    return status;
}

/* ---- catchup ---- */

static enum mortar_status enter(struct process *process, bool found)
{
    struct mortar_group_options options = {MORTAR_GROUP_OPTIONS_INIT, .machine = &process->ops,
                                           .machine_state = &process->machine};
    options.core.target_voters = process->voters;
    return found ? mortar_group_found(process->node, &options, &process->group)
                 : mortar_group_join(process->node, &options, &process->group);
}

static void reached(void *argument, const struct mortar_result *result)
{
    load_done(argument, result);
}

static enum mortar_status catch_up(struct process *process, uint64_t index,
                                   struct member_catchup *out)
{
    struct mortar_core_status status;
    uint64_t session_us = 0;
    /* "5" sets the peak to what is in use now. */
    FILE *peak = fopen("/proc/self/clear_refs", "we");
    if (peak) {
        (void)fputs("5", peak);
        (void)fclose(peak);
    }
    const double memory_before = (double)memory_of("VmRSS:");
    const uint64_t start_us = now_us();
    enum mortar_status result = enter(process, false);
    if (result != MORTAR_OK) return result;
    const struct mortar_condition condition = {.kind = MORTAR_UNTIL_APPLIED, .index = index};
    process->load.flying = 1;
    process->load.failed = MORTAR_OK;
    result =
        mortar_group_wait_async(process->group, condition, PATIENCE_MS, reached, &process->load);
    if (result != MORTAR_OK) return result;
    uint64_t end_us = 0;
    while (end_us == 0) {
        mortar_group_status(process->group, &status);
        if (session_us == 0 && status.sync.active)
            session_us = now_us() - status.sync.elapsed_ms * 1000;
        (void)pthread_mutex_lock(&process->load.mutex);
        if (process->load.flying == 0) end_us = now_us();
        (void)pthread_mutex_unlock(&process->load.mutex);
        if (end_us == 0) pause_us(WATCH_US);
    }
    if (process->load.failed != MORTAR_OK) return process->load.failed;
    const double memory_peak = (double)memory_of("VmHWM:");
    mortar_group_status(process->group, &status);
    *out = (struct member_catchup){
        .total_seconds = (double)(end_us - start_us) / 1e6,
        .seconds = (double)(end_us - (session_us > 0 ? session_us : start_us)) / 1e6,
        .bytes = (double)status.sync.progress.bytes_done,
        .discarded_bytes = (double)status.sync.progress.bytes_discarded,
        .tail_bytes = (double)status.sync.tail_bytes,
        .extra_bytes = memory_peak - memory_before - (double)status.memory_bytes};
    for (uint32_t i = 0; i < status.sync.progress.source_count; i++) {
        const struct mortar_sync_source_progress *source = &status.sync.progress.sources[i];
        if (source->bytes > 0) out->sources++;
        if (source->is_leader) out->leader_bytes += (double)source->bytes;
    }
    return MORTAR_OK;
}

/* ---- Obeying ---- */

static void answer(enum mortar_status status)
{
    if (status == MORTAR_OK)
        (void)printf("ok\n");
    else
        (void)printf("error %s\n", mortar_status_name(status));
}

static void obey_loop(struct process *process, enum loop_kind kind,
                      const uint64_t numbers[NUMBERS_MAX])
{
    const uint64_t depth = numbers[0];
    const uint64_t ms = numbers[2];
    enum mortar_status status = MORTAR_E_INVALID;
    if (depth > 0 && depth <= DEPTH_MAX && numbers[1] <= COMMAND_BYTES_MAX && ms > 0)
        status = run_loop(process, kind, (uint32_t)depth, (uint32_t)numbers[1], ms);
    const struct loop *loop = &process->loop;
    if (status != MORTAR_OK || loop->sample_count == 0) {
        answer(status != MORTAR_OK ? status : MORTAR_E_TIMEOUT);
        return;
    }
    (void)printf("ok %.0f %u %u\n", (double)loop->sample_count * 1000 / (double)ms,
                 loop->samples[loop->sample_count / 2],
                 loop->samples[(uint64_t)loop->sample_count * 99 / 100]);
}

static void obey_load(struct process *process, const uint64_t numbers[NUMBERS_MAX])
{
    enum mortar_status status = MORTAR_E_INVALID;
    const uint64_t start_us = now_us();
    if (numbers[1] > 0 && numbers[1] <= COMMAND_BYTES_MAX)
        status = load(process, numbers[0], (uint32_t)numbers[1]);
    if (status == MORTAR_OK)
        (void)printf("ok %.3f\n", (double)(now_us() - start_us) / 1e6);
    else
        answer(status);
}

static void obey_catch_up(struct process *process, uint64_t index)
{
    struct member_catchup found = {0};
    const enum mortar_status status = catch_up(process, index, &found);
    if (status != MORTAR_OK) {
        answer(status);
        return;
    }
    (void)printf("ok " MEMBER_CATCHUP_PRINT "\n", found.total_seconds, found.seconds, found.bytes,
                 found.sources, found.leader_bytes, found.discarded_bytes, found.tail_bytes,
                 found.extra_bytes);
}

/* Until something is committed in a later term than that. A commit between the look and the wait
 * is found by the next look. */
static enum mortar_status until_later_term(struct process *process, uint64_t term)
{
    const struct mortar_condition advanced = {.kind = MORTAR_UNTIL_COMMIT_ADVANCED};
    const uint64_t end_us = now_us() + (uint64_t)PATIENCE_MS * 1000;
    struct mortar_core_status status;
    while (now_us() < end_us) {
        mortar_group_status(process->group, &status);
        if (status.committed.term > term) return MORTAR_OK;
        const enum mortar_status waited =
            mortar_group_wait(process->group, advanced, TERM_WATCH_MS);
        if (waited != MORTAR_OK && waited != MORTAR_E_TIMEOUT) return waited;
    }
    return MORTAR_E_TIMEOUT;
}

static void obey_simple(struct process *process, const char *word, uint64_t number)
{
    struct mortar_core_status status;
    char address[MORTAR_ADDRESS_BYTES_MAX + 1];
    if (strcmp(word, "address") == 0) {
        mortar_node_address(process->node, address);
        (void)printf("ok %s\n", address);
    } else if (strcmp(word, "found") == 0) {
        const enum mortar_status found = enter(process, true);
        answer(found == MORTAR_OK ? until(process, MORTAR_UNTIL_IS_LEADER, 0) : found);
    } else if (strcmp(word, "join") == 0) {
        answer(enter(process, false));
    } else if (strcmp(word, "members") == 0) {
        answer(until(process, MORTAR_UNTIL_MEMBERS, number));
    } else if (strcmp(word, "voters") == 0) {
        answer(until(process, MORTAR_UNTIL_VOTERS, number));
    } else if (strcmp(word, "applied") == 0) {
        answer(until(process, MORTAR_UNTIL_APPLIED, number));
    } else if (strcmp(word, "committed") == 0) {
        mortar_group_status(process->group, &status);
        (void)printf("ok %" PRIu64 "\n", status.committed.index);
    } else if (strcmp(word, "term") == 0) {
        mortar_group_status(process->group, &status);
        (void)printf("ok %" PRIu64 "\n", status.term);
    } else if (strcmp(word, "elections") == 0) {
        mortar_group_status(process->group, &status);
        (void)printf("ok %" PRIu64 "\n", status.counters.elections);
    } else if (strcmp(word, "later") == 0) {
        answer(until_later_term(process, number));
    } else if (strcmp(word, "keep") == 0) {
        process->keep_entries = number;
        answer(MORTAR_OK);
    } else if (strcmp(word, "cap") == 0) {
        process->replay.serve_bytes_per_second = number;
        answer(mortar_sync_log_replay_tune(process->method, &process->replay));
    } else if (strcmp(word, "leave") == 0) {
        answer(mortar_group_leave(process->group, PATIENCE_MS));
    } else {
        (void)printf("error what is '%s'?\n", word);
    }
}

static void obey(struct process *process, char *line)
{
    uint64_t numbers[NUMBERS_MAX] = {0};
    const size_t word_bytes = strcspn(line, " \n");
    char *at = line + word_bytes + (line[word_bytes] != '\0' ? 1 : 0);
    line[word_bytes] = '\0';
    for (uint32_t i = 0; i < NUMBERS_MAX; i++)
        numbers[i] = strtoull(at, &at, 10);
    if (strcmp(line, "commit") == 0)
        obey_loop(process, LOOP_COMMIT, numbers);
    else if (strcmp(line, "read") == 0)
        obey_loop(process, LOOP_READ, numbers);
    else if (strcmp(line, "readlocal") == 0)
        obey_loop(process, LOOP_READ_LOCAL, numbers);
    else if (strcmp(line, "load") == 0)
        obey_load(process, numbers);
    else if (strcmp(line, "catchup") == 0)
        obey_catch_up(process, numbers[0]);
    else
        obey_simple(process, line, numbers[0]);
    (void)fflush(stdout);
}

static void log_line(void *context, enum mortar_log_level level, const char *line)
{
    (void)context;
    if (level <= MORTAR_LOG_WARNING) (void)fprintf(stderr, "%ld: %s\n", (long)getpid(), line);
}

int member_main(int count, char **words)
{
    struct process *const process = &the_process;
    static char line[MEMBER_LINE_MAX];
    if (count != 4) return EXIT_FAILURE;
    process->voters = (uint32_t)strtoul(words[2], NULL, 10);
    process->replay = (struct mortar_replay_options){MORTAR_REPLAY_OPTIONS_INIT};
    process->options = (struct mortar_node_options){MORTAR_NODE_OPTIONS_INIT,
                                                    .directory = words[0],
                                                    .listen = "127.0.0.1:0",
                                                    .key_file = words[1],
                                                    .peers = words[3][0] != '\0' ? words[3] : NULL,
                                                    .network = "bench",
                                                    .log = log_line};
    process->loop.samples = malloc(SAMPLES_MAX * sizeof process->loop.samples[0]);
    process->command = calloc(1, COMMAND_BYTES_MAX);
    if (!process->loop.samples || !process->command ||
        mortar_sync_log_replay(&heap, &process->replay, &process->method) != MORTAR_OK)
        return EXIT_FAILURE;
    process->pruning_ops = *process->method->provider;
    process->pruning_ops.safe_to_prune_prefix = prune_prefix;
    process->pruning_method = *process->method;
    process->pruning_method.provider = &process->pruning_ops;
    process->ops = (struct mortar_machine_ops){
        MORTAR_MACHINE_OPS_INIT, .name = "bench",        .epoch = 1,
        .apply = machine_apply,  .query = machine_query, .sync = &process->pruning_method};
    if (mortar_node_open(&process->options, &process->node) != MORTAR_OK) {
        (void)fprintf(stderr, "bench: %s\n", mortar_node_open_error());
        return EXIT_FAILURE;
    }
    while (fgets(line, sizeof line, stdin) && strncmp(line, "quit", 4) != 0)
        obey(process, line);
    const enum mortar_status closed = mortar_node_close(process->node);
    mortar_sync_log_replay_free(process->method);
    free(process->loop.samples);
    free(process->command);
    return closed == MORTAR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* lines.c - the main job: each line of a file is a command, and every member keeps the SHA-256
 * over all lines applied, in order, each with its newline.
 *
 * A member is a process that obeys lines on stdin and answers with one JSON object per line on
 * stdout; tools/demo.py drives four of them. `lines --help` says all.
 */
#include "mortar/node.h"

#include <ctype.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH_LINES = 512,
    BATCH_BYTES = 128 * 1024,
    BATCHES_MAX = 16, /* Under way at once: the flow control. */
    COMMAND_MS = 60000,
    STREAM_MS = 2000, /* Of one call of a stream, which is tried again. */
    RETRY_US = 5000,
    GAP_MS = 300, /* No acknowledgement for so long is worth a line. */
    LINE_BYTES_MAX = 64 * 1024,
    WORDS_MAX = 8,
    DIGEST_BYTES = 32
};

static const char help[] =
    "usage: lines found|join --dir DIR --listen HOST:PORT --key FILE [--peers HOST:PORT,...]\n"
    "                        [--network NAME] [--voters 1|3|5|7]\n"
    "\n"
    "found starts a group, join adds this process to one. Every line of a file is a command; the\n"
    "state is the SHA-256 over all lines applied, in order. Obeys lines on stdin:\n"
    "\n"
    "  feed FILE FROM TO [RATE]   execute lines FROM to TO-1 (the first is 0) of FILE, at most "
    "RATE\n"
    "                             bytes per second; answers {\"event\":\"fed\",...} at the end\n"
    "  stream FILE FROM TO [RATE] as feed, but one batch after another, and goes on when the "
    "leader\n"
    "                             is lost: each line is executed once. Says "
    "{\"event\":\"gap\",...} when\n"
    "                             nothing was acknowledged for a while\n"
    "  enough                     ends a stream after the batch under way\n"
    "  status                     answers {\"event\":\"status\",...}: positions, members, "
    "catch-up\n"
    "  digest                     answers {\"event\":\"digest\",...}: the state of this member\n"
    "  wait online|leader|voter   answers {\"event\":\"wait\",...} when it is so\n"
    "  wait voters|members|applied N\n"
    "  quit                       (or the end of stdin) says good-bye to the others and ends\n"
    "\n"
    "Each answer is one JSON object on one line of stdout. Log lines go to stderr.\n";

/* The machine. Neither saved nor loaded: a member that lags replays the log. */
struct machine {
    EVP_MD_CTX *digest;
    uint64_t lines;
    uint64_t bytes;
};

struct feed {
    char *path;
    uint64_t from, to;
    uint64_t rate; /* Bytes per second; 0: no limit. */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint32_t flying; /* Batches that were accepted and are not done. */
    enum mortar_status failed;
    uint64_t lines, bytes; /* Executed. */
    bool careful;          /* A stream. */
    bool enough;           /* A stream is to end. */
    uint64_t total;        /* Of a stream: lines that the group has executed, ours or not. */
    uint64_t acknowledged_us;
};

struct program {
    struct machine machine;
    struct mortar_node *node;
    struct mortar_group *group;
    pthread_mutex_t output;
    pthread_t feeder;
    bool feeding; /* `feeder` is to be joined. */
    struct feed feed;
};

/* ---- The machine ---- */

/* No line holds a newline, so this command is none. */
static const struct mortar_bytes barrier = {(const uint8_t *)"\n", 1};

static bool is_barrier(struct mortar_bytes line)
{
    return line.bytes == 1 && line.data[0] == '\n';
}

static void machine_apply(void *state, struct mortar_apply *run)
{
    struct machine *machine = state;
    for (uint32_t i = 0; i < run->count; i++) {
        const struct mortar_bytes line = run->commands[i].bytes;
        if (is_barrier(line)) continue;
        /* The newline ends each line, and none holds one: two texts never read alike. */
        if (EVP_DigestUpdate(machine->digest, line.data, line.bytes) != 1 ||
            EVP_DigestUpdate(machine->digest, "\n", 1) != 1)
            abort(); /* SHA-256 has no way to fail but a broken machine. */
        machine->lines++;
        machine->bytes += line.bytes + 1;
    }
}

static enum mortar_status machine_query(void *state, struct mortar_bytes query,
                                        struct mortar_answer *answer)
{
    const struct machine *machine = state;
    const uint64_t counts[2] = {machine->lines, machine->bytes};
    uint8_t digest[DIGEST_BYTES];
    (void)query;
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    const bool good = copy && EVP_MD_CTX_copy_ex(copy, machine->digest) == 1 &&
                      EVP_DigestFinal_ex(copy, digest, NULL) == 1;
    EVP_MD_CTX_free(copy);
    if (!good) return MORTAR_E_NO_MEMORY;
    const enum mortar_status status =
        mortar_answer_write(answer, (struct mortar_bytes){(const uint8_t *)counts, sizeof counts});
    if (status != MORTAR_OK) return status;
    return mortar_answer_write(answer, (struct mortar_bytes){digest, sizeof digest});
}

static const struct mortar_machine_ops machine_ops = {MORTAR_MACHINE_OPS_INIT, .name = "lines",
                                                      .epoch = 1, .apply = machine_apply,
                                                      .query = machine_query};

/* ---- Output: whole lines, from several threads. ---- */

__attribute__((format(printf, 2, 3))) static void say(struct program *program, const char *format,
                                                      ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)pthread_mutex_lock(&program->output);
    (void)vprintf(format, arguments);
    (void)fputc('\n', stdout);
    (void)fflush(stdout);
    (void)pthread_mutex_unlock(&program->output);
    va_end(arguments);
}

static void log_line(void *context, enum mortar_log_level level, const char *line)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    (void)context;
    if (level <= MORTAR_LOG_INFO) (void)fprintf(stderr, "%s: %s\n", names[level], line);
}

/* ---- feed ---- */

static uint64_t number_of(const char *word)
{
    return word ? strtoull(word, NULL, 10) : 0;
}

static uint64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* It cannot fail. */
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void sleep_us(uint64_t us)
{
    const struct timespec span = {.tv_sec = (time_t)(us / 1000000),
                                  .tv_nsec = (long)(us % 1000000 * 1000)};
    (void)nanosleep(&span, NULL); /* Woken early it only goes on earlier. */
}

static void batch_done(void *argument, const struct mortar_result *result)
{
    struct feed *feed = argument;
    (void)pthread_mutex_lock(&feed->mutex);
    feed->flying--;
    if (result->status == MORTAR_OK)
        feed->lines += result->count;
    else if (feed->failed == MORTAR_OK)
        feed->failed = result->status;
    (void)pthread_cond_signal(&feed->changed);
    (void)pthread_mutex_unlock(&feed->mutex);
}

/* Submits a batch once there is room for it. False: the feed has failed, or was stopped. The lock
 * is held while it submits, so nothing is submitted after feed_stop(). */
static bool feed_batch(struct program *program, const struct mortar_bytes *lines, uint32_t count)
{
    struct feed *feed = &program->feed;
    enum mortar_status status = MORTAR_E_BUSY;
    while (status == MORTAR_E_BUSY) {
        (void)pthread_mutex_lock(&feed->mutex);
        while (feed->flying >= BATCHES_MAX)
            (void)pthread_cond_wait(&feed->changed, &feed->mutex);
        status = feed->failed;
        if (status == MORTAR_OK)
            status = mortar_group_execute_many_async(program->group, lines, count, COMMAND_MS,
                                                     batch_done, feed);
        if (status == MORTAR_OK)
            feed->flying++;
        else if (status != MORTAR_E_BUSY)
            feed->failed = status;
        (void)pthread_mutex_unlock(&feed->mutex);
        if (status == MORTAR_E_BUSY) sleep_us(1000); /* The queues are full of other work. */
    }
    return status == MORTAR_OK;
}

static void feed_stop(struct feed *feed)
{
    (void)pthread_mutex_lock(&feed->mutex);
    if (feed->failed == MORTAR_OK) feed->failed = MORTAR_E_CLOSED;
    (void)pthread_mutex_unlock(&feed->mutex);
}

static void feed_settle(struct feed *feed)
{
    (void)pthread_mutex_lock(&feed->mutex);
    while (feed->flying > 0)
        (void)pthread_cond_wait(&feed->changed, &feed->mutex);
    (void)pthread_mutex_unlock(&feed->mutex);
}

/* ---- stream ---- */

/* What a fail-over answers; all but UNKNOWN mean that nothing was or will be executed. */
static bool is_passing(enum mortar_status status)
{
    return status == MORTAR_UNKNOWN || status == MORTAR_E_LOST || status == MORTAR_E_TIMEOUT ||
           status == MORTAR_E_NO_LEADER || status == MORTAR_E_BUSY;
}

static enum mortar_status feed_status(struct feed *feed)
{
    (void)pthread_mutex_lock(&feed->mutex);
    const enum mortar_status status = feed->failed;
    (void)pthread_mutex_unlock(&feed->mutex);
    return status;
}

static void set_enough(struct feed *feed)
{
    (void)pthread_mutex_lock(&feed->mutex);
    feed->enough = true;
    (void)pthread_mutex_unlock(&feed->mutex);
}

static bool has_enough(struct feed *feed)
{
    (void)pthread_mutex_lock(&feed->mutex);
    const bool enough = feed->enough;
    (void)pthread_mutex_unlock(&feed->mutex);
    return enough;
}

static enum mortar_status ask_lines(struct program *program, uint64_t *out_lines)
{
    struct mortar_result result = {0};
    const enum mortar_status status =
        mortar_group_query(program->group, (struct mortar_bytes){NULL, 0}, MORTAR_READ_LINEARIZABLE,
                           STREAM_MS, &result);
    const struct mortar_bytes reply = mortar_result_reply(&result, 0);
    if (status == MORTAR_OK && reply.bytes >= sizeof *out_lines)
        memcpy(out_lines, reply.data, sizeof *out_lines);
    mortar_result_release(&result);
    return status;
}

/* How many lines the group has executed, and ever will of those that were sent before: behind a
 * command that changes nothing, which is repeated until it is executed. */
static enum mortar_status count_lines(struct program *program, uint64_t *out_lines)
{
    enum mortar_status status = MORTAR_E_TIMEOUT;
    while (is_passing(status)) {
        struct mortar_result result = {0};
        status = feed_status(&program->feed);
        if (status != MORTAR_OK) return status;
        status = mortar_group_execute(program->group, barrier, STREAM_MS, &result);
        mortar_result_release(&result);
        if (status == MORTAR_OK) status = ask_lines(program, out_lines);
        if (is_passing(status)) sleep_us(RETRY_US);
    }
    return status;
}

/* Whether a batch of unknown fate was executed. It takes one stream at a time in the whole group,
 * and one batch at a time in it. LOST: it was not. */
static enum mortar_status settle_batch(struct program *program, uint32_t count)
{
    const uint64_t total = program->feed.total;
    uint64_t now = 0;
    const enum mortar_status status = count_lines(program, &now);
    if (status != MORTAR_OK) return status;
    if (now == total) return MORTAR_E_LOST;
    return now == total + count ? MORTAR_OK : MORTAR_E_EXISTS; /* Somebody else feeds as well. */
}

static void note_acknowledged(struct program *program, uint32_t count)
{
    struct feed *feed = &program->feed;
    const uint64_t now = now_us();
    if (now - feed->acknowledged_us > GAP_MS * 1000)
        say(program, "{\"event\":\"gap\",\"from_us\":%" PRIu64 ",\"to_us\":%" PRIu64 "}",
            feed->acknowledged_us, now);
    feed->acknowledged_us = now;
    feed->total += count;
    (void)pthread_mutex_lock(&feed->mutex);
    feed->lines += count;
    (void)pthread_mutex_unlock(&feed->mutex);
}

/* Executes a batch, whoever leads. False: the stream ends. */
static bool stream_batch(struct program *program, const struct mortar_bytes *lines, uint32_t count)
{
    struct feed *feed = &program->feed;
    enum mortar_status status = MORTAR_E_LOST;
    while (is_passing(status)) {
        struct mortar_result result = {0};
        if (feed_status(feed) != MORTAR_OK) return false;
        status = mortar_group_execute_many(program->group, lines, count, STREAM_MS, &result);
        mortar_result_release(&result);
        if (status == MORTAR_UNKNOWN) status = settle_batch(program, count);
        if (is_passing(status)) sleep_us(RETRY_US);
    }
    if (status == MORTAR_OK) {
        note_acknowledged(program, count);
        return !has_enough(feed);
    }
    (void)pthread_mutex_lock(&feed->mutex);
    feed->failed = status;
    (void)pthread_mutex_unlock(&feed->mutex);
    return false;
}

static void begin_stream(struct program *program)
{
    struct feed *feed = &program->feed;
    const enum mortar_status status = count_lines(program, &feed->total);
    feed->acknowledged_us = now_us();
    (void)pthread_mutex_lock(&feed->mutex);
    if (feed->failed == MORTAR_OK) feed->failed = status;
    (void)pthread_mutex_unlock(&feed->mutex);
}

/* ---- Both ---- */

static bool execute_batch(struct program *program, const struct mortar_bytes *lines, uint32_t count)
{
    return program->feed.careful ? stream_batch(program, lines, count)
                                 : feed_batch(program, lines, count);
}

/* Reads lines one after another into batches. */
static void feed_file(struct program *program, FILE *file)
{
    static char block[BATCH_BYTES + LINE_BYTES_MAX];
    struct feed *feed = &program->feed;
    struct mortar_bytes lines[BATCH_LINES];
    const uint64_t start_us = now_us();
    uint64_t number = 0;
    size_t used = 0;
    uint32_t count = 0;
    while (number < feed->to && fgets(block + used, LINE_BYTES_MAX, file)) {
        const size_t bytes = strlen(block + used);
        const bool ended = bytes > 0 && block[used + bytes - 1] == '\n';
        if (number++ < feed->from) continue;
        lines[count++] =
            (struct mortar_bytes){(const uint8_t *)block + used, bytes - (ended ? 1 : 0)};
        used += bytes;
        feed->bytes += bytes - (ended ? 1 : 0) + 1;
        if (count < BATCH_LINES && used < BATCH_BYTES && number < feed->to) continue;
        if (!execute_batch(program, lines, count)) return;
        count = 0;
        used = 0;
        if (feed->rate == 0) continue;
        const uint64_t due_us = start_us + feed->bytes * 1000000 / feed->rate;
        const uint64_t now = now_us();
        if (due_us > now) sleep_us(due_us - now);
    }
    if (count > 0) (void)execute_batch(program, lines, count);
}

static void *feeder_main(void *argument)
{
    struct program *program = argument;
    struct feed *feed = &program->feed;
    const uint64_t start_us = now_us();
    FILE *file = fopen(feed->path, "re");
    if (feed->careful) begin_stream(program);
    if (file) {
        feed_file(program, file);
        (void)fclose(file);
    } else {
        feed->failed = MORTAR_E_IO;
    }
    feed_settle(feed);
    say(program,
        "{\"event\":\"fed\",\"status\":\"%s\",\"lines\":%" PRIu64 ",\"bytes\":%" PRIu64
        ",\"seconds\":%.3f}",
        mortar_status_name(feed->failed), feed->lines, feed->bytes,
        (double)(now_us() - start_us) / 1e6);
    free(feed->path);
    feed->path = NULL;
    return NULL;
}

static void end_feed(struct program *program)
{
    if (program->feeding) (void)pthread_join(program->feeder, NULL);
    program->feeding = false;
}

/* `words`: feed or stream, file, from, to, rate. */
static bool begin_feed(struct program *program, char *const words[WORDS_MAX])
{
    end_feed(program); /* One after the other. */
    struct feed *feed = &program->feed;
    feed->path = strdup(words[1]);
    if (!feed->path) return false;
    feed->from = number_of(words[2]);
    feed->to = number_of(words[3]);
    feed->rate = number_of(words[4]);
    feed->careful = strcmp(words[0], "stream") == 0;
    feed->enough = false;
    feed->lines = 0;
    feed->bytes = 0;
    feed->failed = MORTAR_OK;
    if (pthread_create(&program->feeder, NULL, feeder_main, program) != 0) {
        free(feed->path);
        return false;
    }
    program->feeding = true;
    return true;
}

/* ---- status, digest, wait ---- */

static const char *role_name(enum mortar_role role)
{
    switch (role) {
    case MORTAR_FOLLOWER:
        return "follower";
    case MORTAR_PRE_CANDIDATE:
        return "pre-candidate";
    case MORTAR_CANDIDATE:
        return "candidate";
    case MORTAR_LEADER:
        return "leader";
    }
    return "?";
}

static void print_sources(const struct mortar_sync_progress *progress, FILE *out)
{
    char text[MORTAR_ID_TEXT_BYTES];
    for (uint32_t i = 0; i < progress->source_count; i++) {
        const struct mortar_sync_source_progress *source = &progress->sources[i];
        mortar_member_id_text(&source->member, text);
        (void)fprintf(out,
                      "%s{\"member\":\"%s\",\"leader\":%s,\"dropped\":%s,\"bytes\":%" PRIu64
                      ",\"entries\":%" PRIu64 "}",
                      i > 0 ? "," : "", text, source->is_leader ? "true" : "false",
                      source->dropped ? "true" : "false", source->bytes, source->entries);
    }
}

static void print_sync(const struct mortar_core_status *status, FILE *out)
{
    const struct mortar_sync_status *sync = &status->sync;
    (void)fprintf(out,
                  "\"sync\":{\"active\":%s,\"session\":\"%016" PRIx64 "\",\"elapsed_ms\":%" PRIu64
                  ",\"entries_done\":%" PRIu64 ",\"entries_left\":%" PRIu64
                  ",\"bytes_done\":%" PRIu64 ",\"bytes_left\":%" PRIu64
                  ",\"bytes_per_second\":%" PRIu64,
                  sync->active ? "true" : "false", sync->session, sync->elapsed_ms,
                  sync->progress.entries_done, sync->progress.entries_left,
                  sync->progress.bytes_done, sync->progress.bytes_left, sync->bytes_per_second);
    if (sync->left_ms == UINT64_MAX)
        (void)fprintf(out, ",\"left_ms\":null");
    else
        (void)fprintf(out, ",\"left_ms\":%" PRIu64, sync->left_ms);
    (void)fprintf(out,
                  ",\"tail_bytes\":%" PRIu64 ",\"tail_entries\":%" PRIu64 ",\"held_max\":%" PRIu64
                  ",\"discarded\":%" PRIu64
                  ",\"restarts\":%u,\"waits_for\":\"%s\",\"ended\":\"%s\",\"sources\":[",
                  sync->tail_bytes, sync->tail_entries, sync->progress.bytes_held_max,
                  sync->progress.bytes_discarded, sync->progress.restarts, sync->progress.waits_for,
                  mortar_status_name(status->sync_ended));
    print_sources(&sync->progress, out);
    (void)fprintf(out, "]}");
}

/* All of an id. Texts of ids tell nodes apart, and not what one node was before from what it is. */
static void print_id(const struct mortar_member_id *id, FILE *out)
{
    (void)fputc('"', out);
    for (size_t i = 0; i < sizeof id->peer.bytes; i++)
        (void)fprintf(out, "%02x", id->peer.bytes[i]);
    for (size_t i = 0; i < sizeof id->store; i++)
        (void)fprintf(out, "%02x", id->store[i]);
    (void)fputc('"', out);
}

static void print_members(const struct mortar_core_status *status, FILE *out)
{
    (void)fprintf(out, "\"id\":");
    print_id(&status->self, out);
    (void)fprintf(out, ",\"configuration\":[");
    for (uint32_t i = 0; i < status->member_count; i++) {
        if (i > 0) (void)fputc(',', out);
        print_id(&status->members[i].id, out);
    }
    (void)fprintf(out, "],");
}

static void print_status(const struct program *program, FILE *out)
{
    struct mortar_core_status status;
    char self[MORTAR_ID_TEXT_BYTES];
    char leader[MORTAR_ID_TEXT_BYTES];
    uint32_t voters = 0;
    bool voter = false;
    mortar_group_status(program->group, &status);
    mortar_member_id_text(&status.self, self);
    mortar_member_id_text(&status.leader, leader);
    for (uint32_t i = 0; i < status.member_count; i++) {
        if (!status.members[i].voter) continue;
        voters++;
        if (mortar_member_id_equal(&status.members[i].id, &status.self)) voter = true;
    }
    (void)fprintf(out,
                  "{\"event\":\"status\",\"member\":\"%s\",\"role\":\"%s\",\"term\":%" PRIu64
                  ",\"leader\":\"%s\",\"online\":%s,\"voter\":%s,\"voters\":%u,\"joint\":%s"
                  ",\"members\":%u,\"last\":%" PRIu64 ",\"committed\":%" PRIu64
                  ",\"applied\":%" PRIu64 ",\"sessions_done\":%" PRIu64
                  ",\"sessions_failed\":%" PRIu64 ",\"elections\":%" PRIu64
                  ",\"memory_bytes\":%" PRIu64 ",",
                  self, role_name(status.role), status.term, status.leader_known ? leader : "",
                  status.online ? "true" : "false", voter ? "true" : "false", voters,
                  status.joint ? "true" : "false", status.member_count, status.last.index,
                  status.committed.index, status.applied, status.counters.sessions_done,
                  status.counters.sessions_failed, status.counters.elections, status.memory_bytes);
    print_members(&status, out);
    print_sync(&status, out);
    (void)fprintf(out, "}");
}

static void say_status(struct program *program)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (!out) return;
    print_status(program, out);
    if (fclose(out) == 0) say(program, "%s", text);
    free(text);
}

static void say_digest(struct program *program)
{
    struct mortar_result result = {0};
    uint64_t counts[2] = {0, 0};
    char hex[2 * DIGEST_BYTES + 1] = "";
    const enum mortar_status status = mortar_group_query(
        program->group, (struct mortar_bytes){NULL, 0}, MORTAR_READ_LOCAL, COMMAND_MS, &result);
    const struct mortar_bytes reply = mortar_result_reply(&result, 0);
    if (status == MORTAR_OK && reply.bytes == sizeof counts + DIGEST_BYTES) {
        memcpy(counts, reply.data, sizeof counts);
        for (size_t i = 0; i < DIGEST_BYTES; i++)
            (void)snprintf(hex + 2 * i, 3, "%02x", reply.data[sizeof counts + i]);
    }
    mortar_result_release(&result);
    say(program,
        "{\"event\":\"digest\",\"status\":\"%s\",\"lines\":%" PRIu64 ",\"bytes\":%" PRIu64
        ",\"sha256\":\"%s\"}",
        mortar_status_name(status), counts[0], counts[1], hex);
}

static void wait_done(void *argument, const struct mortar_result *result)
{
    say(argument, "{\"event\":\"wait\",\"status\":\"%s\"}", mortar_status_name(result->status));
}

static bool begin_wait(struct program *program, const char *what, uint64_t number)
{
    static const struct {
        const char *word;
        enum mortar_condition_kind kind;
    } conditions[] = {
        {"online", MORTAR_UNTIL_ONLINE},   {"leader", MORTAR_UNTIL_LEADER_ELECTED},
        {"voter", MORTAR_UNTIL_VOTER},     {"voters", MORTAR_UNTIL_VOTERS},
        {"members", MORTAR_UNTIL_MEMBERS}, {"applied", MORTAR_UNTIL_APPLIED},
    };
    for (size_t i = 0; i < sizeof conditions / sizeof conditions[0]; i++) {
        if (strcmp(conditions[i].word, what) != 0) continue;
        const struct mortar_condition condition = {.kind = conditions[i].kind, .index = number};
        return mortar_group_wait_async(program->group, condition, UINT32_MAX, wait_done, program) ==
               MORTAR_OK;
    }
    return false;
}

/* ---- The lines on stdin ---- */

/* Cuts `line` at white space. */
static uint32_t split(char *line, char *words[WORDS_MAX])
{
    uint32_t count = 0;
    for (char *at = line; *at != '\0' && count < WORDS_MAX;) {
        if (isspace((unsigned char)*at)) {
            *at++ = '\0';
            continue;
        }
        words[count++] = at;
        while (*at != '\0' && !isspace((unsigned char)*at))
            at++;
    }
    return count;
}

/* False: the end was asked for. */
static bool obey(struct program *program, char *line)
{
    char *words[WORDS_MAX] = {NULL};
    const uint32_t count = split(line, words);
    if (count == 0) return true;
    if (strcmp(words[0], "quit") == 0) return false;
    bool good = true;
    if (strcmp(words[0], "status") == 0)
        say_status(program);
    else if (strcmp(words[0], "digest") == 0)
        say_digest(program);
    else if (strcmp(words[0], "wait") == 0 && count >= 2)
        good = begin_wait(program, words[1], number_of(words[2]));
    else if ((strcmp(words[0], "feed") == 0 || strcmp(words[0], "stream") == 0) && count >= 4)
        good = begin_feed(program, words);
    else if (strcmp(words[0], "enough") == 0)
        set_enough(&program->feed);
    else
        good = false;
    if (!good) say(program, "{\"event\":\"error\",\"text\":\"not understood, or not possible\"}");
    return true;
}

/* ---- Start and end ---- */

static bool parse(int count, char **words, struct mortar_node_options *options,
                  uint32_t *out_voters)
{
    if (count < 2 || (strcmp(words[1], "found") != 0 && strcmp(words[1], "join") != 0))
        return false;
    for (int i = 2; i < count; i += 2) {
        if (i + 1 >= count) return false;
        const char *value = words[i + 1];
        if (strcmp(words[i], "--dir") == 0)
            options->directory = value;
        else if (strcmp(words[i], "--listen") == 0)
            options->listen = value;
        else if (strcmp(words[i], "--key") == 0)
            options->key_file = value;
        else if (strcmp(words[i], "--peers") == 0)
            options->peers = value;
        else if (strcmp(words[i], "--network") == 0)
            options->network = value;
        else if (strcmp(words[i], "--voters") == 0)
            *out_voters = (uint32_t)number_of(value);
        else
            return false;
    }
    return options->directory && options->listen && options->key_file;
}

static enum mortar_status start(struct program *program, const struct mortar_node_options *options,
                                bool found, uint32_t voters)
{
    enum mortar_status status = mortar_node_open(options, &program->node);
    if (status != MORTAR_OK) {
        (void)fprintf(stderr, "lines: %s\n", mortar_node_open_error());
        return status;
    }
    struct mortar_group_options group = {MORTAR_GROUP_OPTIONS_INIT, .machine = &machine_ops,
                                         .machine_state = &program->machine};
    group.core.target_voters = voters;
    status = found ? mortar_group_found(program->node, &group, &program->group)
                   : mortar_group_join(program->node, &group, &program->group);
    if (status != MORTAR_OK) (void)fprintf(stderr, "lines: %s\n", mortar_status_text(status));
    return status;
}

int main(int count, char **words)
{
    static struct program program = {
        .output = PTHREAD_MUTEX_INITIALIZER,
        .feed = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER}};
    struct mortar_node_options options = {MORTAR_NODE_OPTIONS_INIT, .log = log_line};
    uint32_t voters = 3;
    if (count == 2 && strcmp(words[1], "--help") == 0) {
        (void)fputs(help, stdout);
        return EXIT_SUCCESS;
    }
    if (!parse(count, words, &options, &voters)) {
        (void)fputs(help, stderr);
        return 2;
    }
    program.machine.digest = EVP_MD_CTX_new();
    if (!program.machine.digest ||
        EVP_DigestInit_ex(program.machine.digest, EVP_sha256(), NULL) != 1)
        return EXIT_FAILURE;
    enum mortar_status status = start(&program, &options, strcmp(words[1], "found") == 0, voters);
    if (status == MORTAR_OK) {
        char address[MORTAR_ADDRESS_BYTES_MAX + 1];
        char line[1024];
        mortar_node_address(program.node, address);
        say(&program, "{\"event\":\"open\",\"address\":\"%s\",\"pid\":%ld}", address,
            (long)getpid());
        while (fgets(line, sizeof line, stdin) && obey(&program, line)) {
        }
    }
    feed_stop(&program.feed);
    if (program.feed.careful) end_feed(&program); /* It calls the group: not once that is closed. */
    const enum mortar_status closed = mortar_node_close(program.node);
    end_feed(&program); /* Its calls are complete now, so it ends. */
    EVP_MD_CTX_free(program.machine.digest);
    return status == MORTAR_OK && closed == MORTAR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

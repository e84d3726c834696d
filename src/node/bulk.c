/* node/bulk.c - a bulk link after its handshake: its stream lives on the bulk loop.
 *
 *     control thread                          bulk thread
 *     bulk_attach    ---- attach ---------->  stream_attach
 *     bulk_send      ---- frame ----------->  stream_write
 *                    <--- frame, checked ---  on_bytes
 *     taken, room    ---- resume ---------->  stream_resume_read
 *     bulk_close     ---- close ----------->  stream_close
 *     link_gone      <--- ended ------------  on_closed
 *     bulk_release   ---- release --------->  freed
 *
 * What one thread posts arrives in its order, so nothing for a link comes after `ended` there, nor
 * after `release` here.
 */
#include "base/assert.h"
#include "mortar/core.h"
#include "node/mesh_private.h"
#include "os/clock.h"
#include "os/memory.h"

#include <stdio.h>

/* A frame on its way between the two threads. */
struct bulk_frame {
    struct loop_task task; /* First. */
    struct link *link;
    struct mortar_buffer *frame;
};

static struct link *link_of(struct loop_task *task, size_t offset)
{
    return (struct link *)(void *)((char *)task - offset);
}

static struct bulk_frame *bulk_frame_new(struct link *link, struct mortar_buffer *frame,
                                         void (*run)(struct loop_task *task))
{
    const struct mortar_allocator *const allocator = link->mesh->options.allocator;
    struct bulk_frame *const item = allocator->reserve(allocator->context, sizeof *item);
    if (item == NULL) return NULL;
    *item = (struct bulk_frame){.task.run = run, .link = link, .frame = frame};
    return item;
}

/* Frees the item; the frame goes on to the caller. */
static struct mortar_buffer *bulk_frame_take(struct bulk_frame *item, struct link **out_link)
{
    struct link *const link = item->link;
    struct mortar_buffer *const frame = item->frame;
    memory_release(link->mesh->options.allocator, item, sizeof *item);
    *out_link = link;
    return frame;
}

/* ---- On the bulk thread ---- */

static void note_stream(struct link *link)
{
    const struct stream_counters counters = stream_counters_now(link->stream);
    const memory_order relaxed = memory_order_relaxed;
    atomic_store_explicit(&link->bulk.bytes_in, counters.wire_in_bytes, relaxed);
    atomic_store_explicit(&link->bulk.bytes_out, counters.wire_out_bytes, relaxed);
    atomic_store_explicit(&link->bulk.queued_bytes, stream_queued_bytes(link->stream), relaxed);
}

/* Ends the stream from here; `ended` tells the control thread. */
static void bulk_end(struct link *link, enum mortar_status status, const char *text, bool notify)
{
    if (link->bulk.end_status != MORTAR_OK) return;
    link->bulk.end_status = status;
    (void)snprintf(link->bulk.end_text, sizeof link->bulk.end_text, "%s", text);
    if (notify) link_write_refusal(link->stream, MORTAR_LANE_BULK, status, text);
    stream_close(link->stream, notify ? STREAM_CLOSE_GRACEFUL : STREAM_CLOSE_ABORT);
}

static void bulk_on_open(void *context, struct stream *stream)
{
    (void)context; /* An attached stream was open before. */
    (void)stream;
}

/* Whether the control thread has fallen behind. If so it will post a resume. */
static bool bulk_must_wait(struct link *link)
{
    if (atomic_load(&link->bulk.posted_in_bytes) <= BULK_POSTED_BYTES_MAX) return false;
    atomic_store(&link->bulk.wants_resume, true);
    /* It may have taken everything just before it could see that. */
    if (atomic_load(&link->bulk.posted_in_bytes) > BULK_POSTED_BYTES_MAX / 2) return true;
    return !atomic_exchange(&link->bulk.wants_resume, false);
}

static void bulk_on_buffer(void *context, struct stream *stream, uint8_t **out_data,
                           size_t *out_capacity)
{
    struct link *const link = context;
    (void)stream;
    if (bulk_must_wait(link)) {
        link->bulk.is_paused = true;
        *out_data = NULL;
        *out_capacity = 0;
        return;
    }
    assembler_space(&link->assembler, out_data, out_capacity);
}

static void control_take_frame(struct loop_task *task);

/* Checks a frame of the group and posts it. Takes `frame`. */
static void bulk_post_frame(struct link *link, struct mortar_buffer *frame)
{
    const struct mortar_bytes bytes = {mortar_buffer_data(frame), mortar_buffer_bytes(frame)};
    enum mortar_status status =
        mortar_core_frame_check(bytes, MORTAR_LANE_BULK, &link->mesh->options.group);
    struct bulk_frame *item = NULL;
    if (status == MORTAR_OK) {
        item = bulk_frame_new(link, frame, control_take_frame);
        if (item == NULL) status = MORTAR_E_NO_MEMORY;
    }
    if (status != MORTAR_OK) {
        mortar_buffer_release(frame);
        bulk_end(link, status, mortar_status_text(status), true);
        return;
    }
    (void)atomic_fetch_add(&link->bulk.posted_in_bytes, bytes.bytes);
    loop_post(link->mesh->options.control, &item->task);
}

static void bulk_bond_frame(struct link *link, struct mortar_buffer *frame)
{
    const struct mortar_bytes bytes = {mortar_buffer_data(frame), mortar_buffer_bytes(frame)};
    struct frame_header header;
    struct mortar_bytes payload;
    struct bond_refuse reason;
    const enum mortar_status status = frame_open(bytes, MORTAR_LANE_BULK, &header, &payload);
    if (status != MORTAR_OK) {
        bulk_end(link, status, mortar_status_text(status), true);
    } else if (!link_on_bond_frame(link, link->stream, &header, payload, &reason)) {
        bulk_end(link, reason.status, reason.text, reason.status == MORTAR_E_PROTOCOL);
    }
    mortar_buffer_release(frame);
}

static void bulk_on_bytes(void *context, struct stream *stream, size_t bytes)
{
    struct link *const link = context;
    struct mortar_buffer *frame;
    (void)stream;
    link->heard_ms = loop_now_ms(link->mesh->options.bulk);
    const enum mortar_status status = assembler_took(&link->assembler, bytes, &frame);
    if (status != MORTAR_OK) {
        bulk_end(link, status, mortar_status_text(status), true);
        return;
    }
    if (frame == NULL) return;
    (void)atomic_fetch_add_explicit(&link->mesh->bulk.frames_in, 1, memory_order_relaxed);
    note_stream(link);
    if (assembler_frame_type(frame) >= BOND_HELLO) {
        bulk_bond_frame(link, frame);
    } else {
        bulk_post_frame(link, frame);
    }
}

static void bulk_on_writable(void *context, struct stream *stream)
{
    (void)stream;
    note_stream(context);
}

static void bulk_on_closed(void *context, struct stream *stream, enum mortar_status reason,
                           const char *detail)
{
    struct link *const link = context;
    struct bulk *const bulk = &link->mesh->bulk;
    (void)stream;
    note_stream(link);
    if (link->bulk.end_status == MORTAR_OK) {
        link->bulk.end_status = reason;
        (void)snprintf(link->bulk.end_text, sizeof link->bulk.end_text, "%s", detail);
    }
    if (link->bulk.next) link->bulk.next->bulk.previous = link->bulk.previous;
    if (link->bulk.previous) {
        link->bulk.previous->bulk.next = link->bulk.next;
    } else {
        bulk->links = link->bulk.next;
    }
    link->bulk.attached = false;
    link->stream = NULL;
    loop_post(link->mesh->options.control, &link->bulk.ended);
}

static const struct stream_handler bulk_handler = {
    .on_open = bulk_on_open,
    .on_buffer = bulk_on_buffer,
    .on_bytes = bulk_on_bytes,
    .on_writable = bulk_on_writable,
    .on_closed = bulk_on_closed,
};

static void bulk_run_attach(struct loop_task *task)
{
    struct link *const link = link_of(task, offsetof(struct link, bulk.attach));
    struct bulk *const bulk = &link->mesh->bulk;
    link->bulk.next = bulk->links;
    if (bulk->links) bulk->links->bulk.previous = link;
    bulk->links = link;
    link->bulk.attached = true;
    link->heard_ms = loop_now_ms(link->mesh->options.bulk);
    stream_attach(link->stream, link->mesh->options.bulk, &bulk_handler, link);
}

static void bulk_run_send(struct loop_task *task)
{
    struct link *link;
    struct mortar_buffer *const frame = bulk_frame_take((struct bulk_frame *)task, &link);
    struct bulk *const bulk = &link->mesh->bulk;
    const struct mortar_bytes bytes = {mortar_buffer_data(frame), mortar_buffer_bytes(frame)};
    (void)atomic_fetch_sub(&link->bulk.posted_out_bytes, bytes.bytes);
    enum mortar_status status = MORTAR_E_CLOSED;
    if (link->bulk.attached) {
        const struct stream_part part = {.bytes = bytes, .buffer = frame};
        status = stream_write(link->stream, &part, 1);
        note_stream(link);
    }
    if (status == MORTAR_OK) {
        (void)atomic_fetch_add_explicit(&bulk->frames_out, 1, memory_order_relaxed);
    } else {
        mortar_buffer_release(frame);
        (void)atomic_fetch_add_explicit(&bulk->frames_dropped, 1, memory_order_relaxed);
    }
}

static void bulk_run_resume(struct loop_task *task)
{
    struct link *const link = link_of(task, offsetof(struct link, bulk.resume));
    atomic_store(&link->bulk.resume_posted, false);
    if (!link->bulk.attached || !link->bulk.is_paused) return;
    link->bulk.is_paused = false;
    stream_resume_read(link->stream);
}

/* The control thread wants the end, and has written end_status and end_text before it said so. A
 * peer that did wrong hears why; else what is queued is dropped. */
static void bulk_run_close(struct loop_task *task)
{
    struct link *const link = link_of(task, offsetof(struct link, bulk.close));
    if (!link->bulk.attached) return;
    const bool notify = dial_is_refusal(link->end_status) || link->end_status == MORTAR_E_EXISTS;
    bulk_end(link, link->end_status, link->end_text, notify);
}

static void bulk_run_release(struct loop_task *task)
{
    struct link *const link = link_of(task, offsetof(struct link, bulk.release));
    ASSERT(!link->bulk.attached);
    assembler_deinit(&link->assembler);
    memory_release(link->mesh->options.allocator, link, sizeof *link);
}

static void bulk_beat_link(struct link *link, uint64_t now_ms, bool was_late)
{
    const struct mesh_options *const options = &link->mesh->options;
    const uint64_t silent_max = (uint64_t)options->heartbeat_ms * options->heartbeats_missed_max;
    note_stream(link);
    /* Who does not listen hears nothing. */
    if (was_late || link->bulk.is_paused) link->heard_ms = now_ms;
    if (now_ms > link->heard_ms && now_ms - link->heard_ms > silent_max) {
        bulk_end(link, MORTAR_E_TIMEOUT, "the peer has been silent for too long", false);
        return;
    }
    /* BUSY: so much is under way that the peer hears from us anyway. */
    (void)link_write_ping(link, link->stream, MORTAR_LANE_BULK);
}

static void bulk_on_beat(void *context)
{
    struct mesh *const mesh = context;
    const uint64_t now_ms = loop_now_ms(mesh->options.bulk);
    const bool was_late = now_ms - mesh->bulk.beat_ms > 2 * (uint64_t)mesh->options.heartbeat_ms;
    mesh->bulk.beat_ms = now_ms;
    for (struct link *link = mesh->bulk.links; link; link = link->bulk.next)
        bulk_beat_link(link, now_ms, was_late);
}

enum mortar_status mesh_bulk_start(struct mesh *mesh)
{
    const uint32_t beat_ms = mesh->options.heartbeat_ms;
    mesh->bulk.beat_ms = clock_monotonic_ms();
    return loop_timer_open(mesh->options.bulk, beat_ms, beat_ms, bulk_on_beat, mesh,
                           &mesh->bulk.heartbeat);
}

void mesh_bulk_stop(struct mesh *mesh)
{
    ASSERT(mesh->bulk.links == NULL);
    loop_timer_close(mesh->bulk.heartbeat);
    mesh->bulk.heartbeat = NULL;
}

/* ---- On the control thread ---- */

/* Lets the bulk thread read on once half of what it may post is taken. */
static void resume_if_wanted(struct link *link)
{
    if (atomic_load(&link->bulk.posted_in_bytes) > BULK_POSTED_BYTES_MAX / 2) return;
    if (!atomic_exchange(&link->bulk.wants_resume, false)) return;
    if (!atomic_exchange(&link->bulk.resume_posted, true)) {
        loop_post(link->mesh->options.bulk, &link->bulk.resume);
    }
}

static void control_take_frame(struct loop_task *task)
{
    struct link *link;
    struct mortar_buffer *const frame = bulk_frame_take((struct bulk_frame *)task, &link);
    const struct mesh_options *const options = &link->mesh->options;
    (void)atomic_fetch_sub(&link->bulk.posted_in_bytes, mortar_buffer_bytes(frame));
    resume_if_wanted(link);
    if (link->state == LINK_UP) {
        const struct mortar_member_id from = link->member;
        const enum mortar_status status =
            options->handler->on_frame(options->context, &from, MORTAR_LANE_BULK, frame);
        if (status != MORTAR_OK) link_end(link, status, mortar_status_text(status));
    }
    mortar_buffer_release(frame);
}

static void control_on_ended(struct loop_task *task)
{
    struct link *const link = link_of(task, offsetof(struct link, bulk.ended));
    link_gone(link, link->bulk.end_status, link->bulk.end_text);
}

void bulk_attach(struct link *link)
{
    link->bulk.attach.run = bulk_run_attach;
    link->bulk.close.run = bulk_run_close;
    link->bulk.release.run = bulk_run_release;
    link->bulk.resume.run = bulk_run_resume;
    link->bulk.ended.run = control_on_ended;
    loop_post(link->mesh->options.bulk, &link->bulk.attach);
}

void bulk_send(struct link *link, struct mortar_buffer *frame)
{
    struct mesh *const mesh = link->mesh;
    const size_t bytes = mortar_buffer_bytes(frame);
    const uint64_t queued = link_queued_bytes(link);
    struct bulk_frame *item = NULL;
    if (queued == 0 || queued + bytes <= mesh->options.stream.queued_bytes_max) {
        item = bulk_frame_new(link, frame, bulk_run_send);
    }
    if (item == NULL) {
        mortar_buffer_release(frame);
        mesh->counted.frames_dropped++;
        return;
    }
    (void)atomic_fetch_add(&link->bulk.posted_out_bytes, bytes);
    loop_post(mesh->options.bulk, &item->task);
}

void bulk_close(struct link *link)
{
    if (link->bulk.close_posted) return;
    link->bulk.close_posted = true;
    loop_post(link->mesh->options.bulk, &link->bulk.close);
}

void bulk_release(struct link *link)
{
    loop_post(link->mesh->options.bulk, &link->bulk.release);
}

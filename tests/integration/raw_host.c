#include "integration/raw_host.h"

#include "unit/test.h"

#include <stdlib.h>
#include <string.h>

struct host_link {
    struct raw_host *host;
    struct bond_handshake handshake;
    uint8_t in[64 * 1024];
    size_t in_bytes;
};

static void host_write(struct stream *stream, const struct writer *out)
{
    const struct stream_part part = {.bytes = {out->data, out->bytes}};
    const enum mortar_status status = out->bytes > 0 ? stream_write(stream, &part, 1) : MORTAR_OK;
    if (status != MORTAR_OK && status != MORTAR_E_CLOSED) abort(); /* Not on the test's thread. */
}

static void host_on_open(void *context, struct stream *stream)
{
    (void)context; /* An accepted stream was open before. */
    (void)stream;
}

static void host_on_buffer(void *context, struct stream *stream, uint8_t **out_data,
                           size_t *out_capacity)
{
    struct host_link *const link = context;
    (void)stream;
    *out_data = link->in + link->in_bytes;
    *out_capacity = sizeof link->in - link->in_bytes;
}

/* One whole frame at the front of what came. False: there is none. */
static bool host_take_frame(struct host_link *link, struct stream *stream)
{
    struct frame_header header;
    const struct mortar_bytes all = {link->in, link->in_bytes};
    if (frame_header_decode(all, MORTAR_LANE_CONTROL, &header) != MORTAR_OK) return false;
    const size_t whole = FRAME_HEADER_BYTES + (size_t)header.payload_bytes;
    if (link->in_bytes < whole || link->handshake.state >= BOND_DONE) return false;
    uint8_t bytes[BOND_STEP_BYTES_MAX];
    struct writer out = writer_over(bytes, sizeof bytes);
    const enum bond_state state = bond_handshake_receive(
        &link->handshake, header.type,
        (struct mortar_bytes){link->in + FRAME_HEADER_BYTES, header.payload_bytes}, &out);
    host_write(stream, &out);
    if (state == BOND_DONE) {
        (void)atomic_fetch_add(&link->host->bonded, 1);
        stream_close(stream, STREAM_CLOSE_GRACEFUL);
    }
    link->in_bytes -= whole;
    memmove(link->in, link->in + whole, link->in_bytes);
    return true;
}

static void host_on_bytes(void *context, struct stream *stream, size_t bytes)
{
    struct host_link *const link = context;
    link->in_bytes += bytes;
    while (link->in_bytes >= FRAME_HEADER_BYTES && host_take_frame(link, stream)) {
    }
    if (link->in_bytes == sizeof link->in) link->in_bytes = 0;
}

static void host_on_closed(void *context, struct stream *stream, enum mortar_status reason,
                           const char *detail)
{
    (void)stream;
    (void)reason;
    (void)detail;
    free(context);
}

static const struct stream_handler host_handler = {
    .on_open = host_on_open,
    .on_buffer = host_on_buffer,
    .on_bytes = host_on_bytes,
    .on_closed = host_on_closed,
};

static void host_on_accept(void *context, struct stream *stream)
{
    struct raw_host *const host = context;
    struct host_link *const link = calloc(1, sizeof *link);
    if (link == NULL) abort(); /* Not on the test's thread. */
    link->host = host;
    stream_set_handler(stream, &host_handler, link);
    raw_handshake_init(&host->peer, stream, MORTAR_LANE_CONTROL, false, &link->handshake);
    (void)atomic_fetch_add(&host->accepted, 1);
    if (host->manner != RAW_SAYS_SELF) return;
    uint8_t bytes[BOND_STEP_BYTES_MAX];
    struct writer out = writer_over(bytes, sizeof bytes);
    bond_handshake_refuse(&link->handshake, MORTAR_E_SELF, "this is you", &out);
    host_write(stream, &out);
    stream_close(stream, STREAM_CLOSE_GRACEFUL);
}

static const struct listener_handler host_door = {.on_accept = host_on_accept};

void raw_host_bind(struct raw_host *host, enum raw_manner manner)
{
    struct detail detail;
    struct address address = {.host = "127.0.0.1"};
    memset(host, 0, sizeof *host);
    host->manner = manner;
    assert_int_equal(listener_bind(&address, NULL, &detail, &host->listener), MORTAR_OK);
    address.port = listener_port(host->listener);
    char text[ADDRESS_TEXT_BYTES];
    address_format(&address, text);
    memcpy(host->address, text, sizeof text);
}

static void run_start(void *context)
{
    struct raw_host *const host = context;
    struct stream_options options = stream_options_default(host->peer.tls);
    if (listener_start(host->listener, host->peer.loop, &options, 8, &host_door, host) !=
        MORTAR_OK) {
        abort();
    }
}

void raw_host_begin(struct raw_host *host, const struct place *place, const struct member *member)
{
    raw_begin(&host->peer, place, member);
    loop_call(host->peer.loop, run_start, host);
}

void raw_host_end(struct raw_host *host)
{
    raw_end(&host->peer); /* The loop closes the listener. */
}

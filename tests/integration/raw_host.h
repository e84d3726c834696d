/* integration/raw_host.h - a peer that others connect to, and that does them no good.
 *
 * Not part of the library. Binds first, so that a member can be told of its address; begins once
 * the member is there.
 *
 * Memory:  malloc's; raw_host_bind has its raw_host_end.
 * Threads: the test's; the raw peer's loop runs the links.
 * Errors:  failed checks.
 */
#ifndef INTEGRATION_RAW_HOST_H
#define INTEGRATION_RAW_HOST_H

#include "integration/raw_peer.h"
#include "os/listener.h"

enum raw_manner {
    RAW_SAYS_SELF,         /* Refuses at once: "you are talking to yourself". */
    RAW_LETS_IN_AND_CLOSES /* Does the handshake, then closes. */
};

struct raw_host {
    struct raw_peer peer;
    enum raw_manner manner;
    struct listener *listener;
    char address[MORTAR_ADDRESS_BYTES_MAX + 1];
    atomic_uint accepted; /* TLS was done. */
    atomic_uint bonded;   /* The handshake, too. */
};

void raw_host_bind(struct raw_host *host, enum raw_manner manner);
void raw_host_begin(struct raw_host *host, const struct place *place, const struct member *member);
void raw_host_end(struct raw_host *host);

#endif

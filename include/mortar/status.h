/* mortar/status.h - what a call answers.
 *
 * One enum for the whole library. MORTAR_OK is 0; every other value names one kind of failure.
 * Protocol outcomes (a vote denied, a log too short) are data, not statuses.
 *
 * Memory:  none.
 * Threads: any.
 * Errors:  these are they. Outputs of a call that fails stay as they were.
 *
 *     enum mortar_status status = mortar_node_open(&options, &node);
 *     if (status != MORTAR_OK) fprintf(stderr, "%s\n", mortar_status_text(status));
 */
#ifndef MORTAR_STATUS_H
#define MORTAR_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MORTAR_API       __attribute__((visibility("default")))
#define MORTAR_NODISCARD __attribute__((warn_unused_result))
#else
#define MORTAR_API
#define MORTAR_NODISCARD
#endif

/* Name, number, text. Numbers are stable: they stand in logs and on the wire. */
#define MORTAR_STATUS_TABLE(X)                                                                     \
    X(MORTAR_OK, 0, "ok")                                                                          \
    X(MORTAR_E_INVALID, 1, "an argument or option is out of its range")                            \
    X(MORTAR_E_NO_MEMORY, 2, "a reservation of memory failed")                                     \
    X(MORTAR_E_BUSY, 3, "a queue is full: try again later")                                        \
    X(MORTAR_E_TIMEOUT, 4, "the time given ran out before anything was done")                      \
    X(MORTAR_E_CLOSED, 5, "the handle was closed")                                                 \
    X(MORTAR_E_FAILED, 6, "the node failed and must be opened again")                              \
    X(MORTAR_E_NOT_SUPPORTED, 7, "this version does not offer that")                               \
    X(MORTAR_E_WRONG_THREAD, 8, "a blocking call was made on one of the library's own threads")    \
    X(MORTAR_E_NOT_FOUND, 9, "there is no such thing")                                             \
    X(MORTAR_E_EXISTS, 10, "it exists already")                                                    \
    X(MORTAR_E_CORRUPT, 11, "bytes from outside break their format")                               \
    X(MORTAR_E_TOO_LARGE, 12, "a size is beyond its limit")                                        \
    X(MORTAR_E_NO_LEADER, 13, "no leader is known; the request was not sent")                      \
    X(MORTAR_E_NOT_LEADER, 14, "only the leader can do that")                                      \
    X(MORTAR_E_LOST, 15, "the command was definitely not executed")                                \
    X(MORTAR_UNKNOWN, 16, "the command may or may not have been executed")                         \
    X(MORTAR_E_INCOMPLETE, 17, "this replica is catching up and cannot serve that yet")            \
    X(MORTAR_E_CHANGING, 18, "another membership change is in progress")                           \
    X(MORTAR_E_REMOVED, 19, "this member was removed from the group")                              \
    X(MORTAR_E_PRUNED, 20, "the log no longer holds that position")                                \
    X(MORTAR_E_IO, 21, "a system call on a file or socket failed")                                 \
    X(MORTAR_E_PERMISSION, 22, "a file's owner or mode does not allow that")                       \
    X(MORTAR_E_LOCKED, 23, "another process uses this directory")                                  \
    X(MORTAR_E_ADDRESS_IN_USE, 24, "the listen address is taken")                                  \
    X(MORTAR_E_ADDRESS, 25, "an address cannot be parsed, resolved or reached")                    \
    X(MORTAR_E_NO_SPACE, 26, "a buffer or disk is full")                                           \
    X(MORTAR_E_TLS, 27, "the TLS layer refused the connection")                                    \
    X(MORTAR_E_PROTOCOL, 28, "the peer broke the protocol")                                        \
    X(MORTAR_E_VERSION, 29, "the peer speaks no version that this one speaks")                     \
    X(MORTAR_E_KEY, 30, "the key proof failed")                                                    \
    X(MORTAR_E_NETWORK, 31, "the peer belongs to another network")                                 \
    X(MORTAR_E_MACHINE, 32, "the peer runs another state machine")                                 \
    X(MORTAR_E_SYNC, 33, "the peer runs another sync method")                                      \
    X(MORTAR_E_BIRTH, 34, "the peer's group was founded apart from this one")                      \
    X(MORTAR_E_COPIED, 35, "this identity is in use by another process")                           \
    X(MORTAR_E_SELF, 36, "the address leads back to this node")                                    \
    X(MORTAR_E_STALLED, 37, "no verified progress for too long")                                   \
    X(MORTAR_E_UNVERIFIED, 38, "data does not agree with what the group vouches for")              \
    X(MORTAR_E_CANCELLED, 39, "ended by its owner")                                                \
    X(MORTAR_E_GROUP, 40, "the peer serves no such group")                                         \
    X(MORTAR_E_DEPARTED, 41, "the peer said good-bye")                                             \
    X(MORTAR_E_SESSION, 42, "the client session is unknown, closed or expired")                    \
    X(MORTAR_E_ALIVE, 43, "the member to be replaced is alive")

enum mortar_status {
#define MORTAR_STATUS_VALUE(name, number, text) name = number,
    MORTAR_STATUS_TABLE(MORTAR_STATUS_VALUE)
#undef MORTAR_STATUS_VALUE
};

/* The text of `status`; "unknown status" for a number that is not in the table. Never NULL. */
MORTAR_API const char *mortar_status_text(enum mortar_status status);

/* The name of `status`, such as "MORTAR_E_BUSY"; "MORTAR_E_?" for one not in the table. */
MORTAR_API const char *mortar_status_name(enum mortar_status status);

#ifdef __cplusplus
}
#endif
#endif

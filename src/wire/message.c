/* wire/message.c - names of the message types, for logs and traces. */
#include "wire/message.h"

const char *message_type_name(enum message_type type)
{
    switch (type) {
    case MESSAGE_VOTE_REQUEST:
        return "vote_request";
    case MESSAGE_VOTE_REPLY:
        return "vote_reply";
    case MESSAGE_APPEND_REQUEST:
        return "append_request";
    case MESSAGE_APPEND_REPLY:
        return "append_reply";
    case MESSAGE_READ_REQUEST:
        return "read_request";
    case MESSAGE_READ_REPLY:
        return "read_reply";
    case MESSAGE_FORWARD_REQUEST:
        return "forward_request";
    case MESSAGE_FORWARD_REPLY:
        return "forward_reply";
    case MESSAGE_JOIN_REQUEST:
        return "join_request";
    case MESSAGE_JOIN_REPLY:
        return "join_reply";
    case MESSAGE_SYNC:
        return "sync";
    case MESSAGE_LEASE:
        return "lease";
    case MESSAGE_TIMEOUT_NOW:
        return "timeout_now";
    case MESSAGE_PART:
        return "part";
#ifdef MORTAR_WIRE_NEXT
    case MESSAGE_ECHO:
        return "echo";
#endif
    }
    return "unknown message";
}

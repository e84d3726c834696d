#include "node/completions.h"

#include "base/assert.h"

#include <sys/eventfd.h>
#include <unistd.h>

enum mortar_status completions_init(struct completions *completions)
{
    const int descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (descriptor < 0) return MORTAR_E_IO;
    *completions = (struct completions){.descriptor = descriptor};
    (void)pthread_mutex_init(&completions->mutex, NULL);
    return MORTAR_OK;
}

void completions_deinit(struct completions *completions)
{
    ASSERT(completions->first == NULL);
    (void)close(completions->descriptor);
    completions->descriptor = -1;
    (void)pthread_mutex_destroy(&completions->mutex);
}

void completions_push(struct completions *completions, struct call *call)
{
    call->next = NULL;
    (void)pthread_mutex_lock(&completions->mutex);
    if (completions->last) {
        completions->last->next = call;
    } else {
        completions->first = call;
        (void)eventfd_write(completions->descriptor, 1); /* Never full: it is read when empty. */
    }
    completions->last = call;
    (void)pthread_mutex_unlock(&completions->mutex);
}

static struct call *completions_take(struct completions *completions)
{
    (void)pthread_mutex_lock(&completions->mutex);
    struct call *const call = completions->first;
    if (call) {
        completions->first = call->next;
        if (completions->first == NULL) {
            eventfd_t value;
            completions->last = NULL;
            (void)eventfd_read(completions->descriptor, &value);
        }
        call->next = NULL;
    }
    (void)pthread_mutex_unlock(&completions->mutex);
    return call;
}

uint32_t completions_dispatch(struct completions *completions, uint32_t max)
{
    uint32_t count = 0;
    while (count < max) {
        struct call *const call = completions_take(completions);
        if (call == NULL) break;
        call_complete(call);
        count++;
    }
    return count;
}

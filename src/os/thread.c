#define _GNU_SOURCE
#include "os/thread.h"

#include "base/assert.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum { THREAD_NICE_STEP = 10, THREAD_NICE_MAX = 19 };

enum mortar_status thread_start(void *(*body)(void *context), void *context, pthread_t *out_thread)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    int result = pthread_sigmask(SIG_SETMASK, &all, &before);
    ASSERT(result == 0);
    pthread_t thread;
    const int created = pthread_create(&thread, NULL, body, context);
    result = pthread_sigmask(SIG_SETMASK, &before, NULL);
    ASSERT(result == 0);
    if (created != 0) return MORTAR_E_IO;
    *out_thread = thread;
    return MORTAR_OK;
}

void thread_set_name(const char *name)
{
    char text[16]; /* The kernel's limit, with the closing zero. */
    (void)snprintf(text, sizeof text, "%s", name);
    (void)pthread_setname_np(pthread_self(), text);
}

void thread_lower_priority(void)
{
    /* On Linux a nice value belongs to a thread; its id is the `who` of PRIO_PROCESS. */
    const id_t self = (id_t)gettid();
    errno = 0;
    const int current = getpriority(PRIO_PROCESS, self);
    if (current == -1 && errno != 0) return;
    const int wanted = current + THREAD_NICE_STEP;
    (void)setpriority(PRIO_PROCESS, self, wanted < THREAD_NICE_MAX ? wanted : THREAD_NICE_MAX);
}

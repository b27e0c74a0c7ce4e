#include "base/process.h"

#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/mem.h"

/* Soft limits of the process's start, which its children get back: set once, and needed where no argument reaches. */
static struct {
    rlim_t descriptors, core;
    bool has_descriptors, has_core, at_fork;
} before;

static void give_back(__rlimit_resource_t what, rlim_t soft)
{
    struct rlimit limit;
    if (getrlimit(what, &limit) == 0) {
        limit.rlim_cur = MIN(soft, limit.rlim_max);
        setrlimit(what, &limit);
    }
}

static void in_forked_child(void)
{
    if (before.has_descriptors) {
        give_back(RLIMIT_NOFILE, before.descriptors);
    }
    if (before.has_core) {
        give_back(RLIMIT_CORE, before.core);
    }
}

static void watch_forks(void)
{
    if (!before.at_fork) {
        before.at_fork = pthread_atfork(NULL, NULL, in_forked_child) == 0;
    }
}

unsigned process_raise_descriptors(void)
{
    struct rlimit limit = {1024, 1024};
    getrlimit(RLIMIT_NOFILE, &limit);
    struct rlimit raised = {limit.rlim_max, limit.rlim_max};
    if (limit.rlim_cur < limit.rlim_max && setrlimit(RLIMIT_NOFILE, &raised) == 0) {
        if (!before.has_descriptors) {
            before.descriptors = limit.rlim_cur;
            before.has_descriptors = true;
            watch_forks();
        }
        limit = raised;
    }
    return (unsigned)MIN(limit.rlim_cur, (rlim_t)INT_MAX);
}

void process_hide_memory(void)
{
#ifndef __SANITIZE_ADDRESS__
    const char *debug = getenv("REEVE_DEBUG");
    if (debug != NULL && strcmp(debug, "1") == 0) {
        return;
    }
    struct rlimit core;
    if (getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur > 0) {
        before.core = core.rlim_cur;
        before.has_core = true;
        watch_forks();
        core.rlim_cur = 0;
        setrlimit(RLIMIT_CORE, &core);
    }
    prctl(PR_SET_DUMPABLE, 0);
#endif
}

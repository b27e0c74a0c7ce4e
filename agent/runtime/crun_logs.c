/* Logs are rotated while containers run; conmon opens them anew. */
#include <fcntl.h>
#include <unistd.h>

#include "agent/runtime/crun_int.h"
#include "agent/runtime/logfile.h"

#define LOG_CHECK_MS 10000

static void reopen_log(const struct crun_container *c)
{
    char path[FS_PATH_MAX];
    fs_path(path, sizeof path, "%s/ctl", c->dir);
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    static const char reopen[] = "2 0 0\n"; /* conmon: REOPEN_LOGS_EVENT and two unused numbers */
    if (fd < 0 || write(fd, reopen, sizeof reopen - 1) < 0) {
        log_warn(c->rt->log, "runtime", "container %s: cannot tell conmon to reopen the log", c->id);
    }
}

static void logs_check(uv_timer_t *t)
{
    struct crun *rt = CONTAINER_OF(t, struct crun, log_timer);
    bool any = false;
    LIST_FOR(it, &rt->containers)
    {
        struct crun_container *c = LIST_ENTRY(it, struct crun_container, link);
        if (c->state == RUNTIME_RUNNING && !c->removing) {
            any = true;
            if (logfile_rotate(c->log_path, rt->log_max_bytes, rt->log_max_files)) {
                reopen_log(c);
            }
        }
    }
    if (!any) {
        uv_timer_stop(t); /* idle costs nothing; the next start turns it on again */
    }
}

void crun_log_timer(struct crun *rt)
{
    if (!uv_is_active((uv_handle_t *)&rt->log_timer) && !rt->closing) {
        uv_timer_start(&rt->log_timer, logs_check, LOG_CHECK_MS, LOG_CHECK_MS);
        uv_unref((uv_handle_t *)&rt->log_timer);
    }
}

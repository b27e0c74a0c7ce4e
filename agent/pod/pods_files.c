/* A file for each pod: what a restart of the agent finds. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "agent/pod/pods.h"
#include "agent/util/fsutil.h"
#include "base/failpoint.h"

static void file_of(const struct agent *a, const char *uid, char out[AGENT_PATH_MAX])
{
    fs_path(out, AGENT_PATH_MAX, "%s/pods/%s.pod", a->dir, uid);
}

/* Not synced: those that a power cut takes begin when masters are back. */
void pods_keep(struct agent_pod *ap)
{
    char path[AGENT_PATH_MAX];
    struct error err;
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (ap->agent->hollow) {
        return;
    }
    object_write_wire(&b, ap->latest);
    file_of(ap->agent, ap->uid, path);
    if (fs_write_file(path, buf_str(&b), 0600, false, &err) != 0) {
        log_error(ap->agent->log, "pods", "%s/%s cannot be kept for a restart of the agent: %s", ap->ns, ap->name,
                  err.message);
    }
    failpoint(FAILPOINT_pod_after_keep);
}

void pods_forget(const struct agent_pod *ap)
{
    char path[AGENT_PATH_MAX];
    file_of(ap->agent, ap->uid, path);
    failpoint(FAILPOINT_pod_before_forget);
    if (!ap->agent->hollow && unlink(path) != 0 && errno != ENOENT) {
        log_warn(ap->agent->log, "pods", "remove %s: %s", path, strerror(errno));
    }
}

struct object *pods_read_file(struct agent *a, const char *path)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct object *o = NULL;
    struct error err;
    int rv = fs_read_file(path, OBJECT_SIZE_MAX * 2, &b, &err);
    rv = rv != 0 ? rv : object_from_wire(mp_of(b.data, b.size), &o, &err);
    if (rv != 0 || o->kind->id != KIND_POD) {
        log_error(a->log, "pods", "%s is damaged and ignored: %s", path, rv != 0 ? err.message : "not a pod");
        object_unref(o);
        return NULL;
    }
    return o;
}

/* What a pod and its containers say, and how long they have to stop. */
#include <stdarg.h>
#include <stdio.h>

#include "agent/pod/pod.h"

#define REMOVED_GRACE_MS 1000 /* deleted by force: what the kubelet gives at least */

void pod_event(struct pod *p, const struct container *c, bool warning, const char *reason, const char *fmt, ...)
{
    char message[ERROR_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    p->node->ops->event(p, c, warning, reason, message);
}

int64_t pod_full_grace_ms(const struct pod *p)
{
    if (p->evicted) {
        return REMOVED_GRACE_MS;
    }
    int64_t grace = p->deleting && p->spec->deletion_grace_ms >= 0 ? p->spec->deletion_grace_ms : p->spec->grace_ms;
    return p->deleting ? MAX(grace, REMOVED_GRACE_MS) : grace;
}

int64_t pod_grace_ms(const struct pod *p)
{
    return p->state == POD_STOPPING ? MAX(p->grace_until_ms - env_now_ms(p->node->env), 0) : pod_full_grace_ms(p);
}

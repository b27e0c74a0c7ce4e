/* When a probe is due and what its results mean. Pure: time and results come in.
 *
 * The first run comes right after the container's start or its initial delay, then one each period, counted from the
 * begin of the run before: after a standstill one run is made, not those that were missed. A result counts once it has
 * come success_threshold (or failure_threshold) times in a row. Liveness starts as success, readiness and startup as
 * failure. Source: Kubernetes' prober worker; Probe in the API. */
#ifndef AGENT_POD_PROBE_H
#define AGENT_POD_PROBE_H

#include "agent/pod/podspec.h"

#define PROBE_NEVER    INT64_MAX
#define PROBE_FIRST_MS 200 /* after the start of the container, if no initial delay was asked for */

enum probe_verdict {
    PROBE_SAME,   /* nothing new */
    PROBE_PASSED, /* the result has become success */
    PROBE_FAILED, /* ... failure */
};
struct probe {
    const struct podspec_probe *config; /* NULL = not running */
    bool in_flight;
    bool result;     /* as it counts now */
    bool settled;    /* a threshold was reached at least once */
    bool last;       /* of the last run */
    unsigned in_row; /* runs in a row with `last` */
    int64_t next_ms;
};
/* started_ms: when the container started (monotonic). A config without handler leaves it not running. */
void probe_start(struct probe *p, const struct podspec_probe *config, bool result, int64_t started_ms, int64_t now_ms);
void probe_stop(struct probe *p);
static inline bool probe_running(const struct probe *p)
{
    return p->config != NULL;
}
int64_t probe_deadline(const struct probe *p);     /* PROBE_NEVER while stopped or in flight */
void probe_begin(struct probe *p, int64_t now_ms); /* it is being run */
enum probe_verdict probe_feed(struct probe *p, bool success, int64_t now_ms);

/* "Startup", "Liveness", "Readiness" by PODSPEC_STARTUP... */
const char *probe_title(int which);

#endif

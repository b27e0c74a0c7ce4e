#include "agent/pod/probe.h"

#include <assert.h>

void probe_start(struct probe *p, const struct podspec_probe *config, bool result, int64_t started_ms, int64_t now_ms)
{
    *p = (struct probe){.result = result};
    if (config->handler.kind == PODSPEC_HANDLER_NONE) {
        return;
    }
    assert(config->success_threshold > 0 && config->failure_threshold > 0 && config->period_ms > 0);
    p->config = config;
    /* Right after its start no program answers: a probe at once would only cost a whole period. */
    p->next_ms = MAX(started_ms + MAX(config->initial_delay_ms, PROBE_FIRST_MS), now_ms);
}

void probe_stop(struct probe *p)
{
    p->config = NULL;
    p->in_flight = false;
}

int64_t probe_deadline(const struct probe *p)
{
    return p->config == NULL || p->in_flight ? PROBE_NEVER : p->next_ms;
}

void probe_begin(struct probe *p, int64_t now_ms)
{
    assert(p->config != NULL && !p->in_flight);
    p->in_flight = true;
    p->next_ms = now_ms + p->config->period_ms;
}

enum probe_verdict probe_feed(struct probe *p, bool success, int64_t now_ms)
{
    assert(p->config != NULL && p->in_flight);
    p->in_flight = false;
    p->next_ms = MAX(p->next_ms, now_ms);
    p->in_row = p->last == success && p->in_row > 0 ? p->in_row + 1 : 1;
    p->last = success;
    if (p->in_row < (success ? p->config->success_threshold : p->config->failure_threshold)) {
        return PROBE_SAME;
    }
    bool changed = p->result != success || !p->settled;
    p->result = success;
    p->settled = true;
    return !changed ? PROBE_SAME : success ? PROBE_PASSED : PROBE_FAILED;
}

const char *probe_title(int which)
{
    static const char *const titles[PODSPEC_PROBES] = {"Startup", "Liveness", "Readiness"};
    assert(which >= 0 && which < PODSPEC_PROBES);
    return titles[which];
}

#include "agent/isolation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/agent_int.h"
#include "agent/kept.h"
#include "agent/pod/pods.h"
#include "agent/policy/enforcer.h"
#include "proto/facts/cidr.h"

#define LOOK_MS 200 /* while pods wait: is one of them deleted, or has it waited long? */

struct isolation {
    struct agent *agent;
    struct enforcer *enforcer;
    struct error lacks;               /* why the kernel cannot; code 0: it can */
    bool untold;                      /* masters tell of no policies: there are none */
    bool may_begin;                   /* something is known, from masters or from before */
    char overflow[128], lacking[128]; /* as last told */
    struct list waiting;
    uv_timer_t look;
    void (*close_cb)(void *data);
    void *close_data;
    unsigned closing;
};
struct waiter {
    struct list link;
    struct agent_pod *pod;
    char ip[64];
    int64_t event_ms; /* the next */
    isolation_cb *cb;
};

/* ---- Pods that wait ---- */

static bool is_heard(const struct isolation *n, const struct agent_pod *ap)
{
    uint64_t revision = policy_core_revision(enforcer_core(n->enforcer));
    return n->untold || (revision > 0 && revision >= ap->ordered_revision);
}

static bool is_enforced(const struct isolation *n, const struct agent_pod *ap)
{
    bool selected = policy_core_selects(enforcer_core(n->enforcer), ap->latest);
    return !selected || (n->lacks.code == 0 && enforcer_settled(n->enforcer));
}

static bool may_begin(const struct isolation *n, const struct agent_pod *ap)
{
    return is_heard(n, ap) && is_enforced(n, ap);
}

static void answer(struct waiter *w, const struct error *error)
{
    struct pod *pod = w->pod->pod;
    isolation_cb *cb = w->cb;
    char ip[64];
    memcpy(ip, w->ip, sizeof ip);
    list_remove(&w->link);
    free(w);
    cb(ip, error, pod);
}

/* What one that is selected begins with is on the disk before: after a power cut it begins with no less. */
static void let_go(struct isolation *n)
{
    LIST_FOR_SAFE(it, &n->waiting)
    {
        struct waiter *w = LIST_ENTRY(it, struct waiter, link);
        if (may_begin(n, w->pod)) {
            kept_policies_now(n->agent);
            answer(w, NULL);
        }
    }
    if (list_empty(&n->waiting)) {
        uv_timer_stop(&n->look);
    }
}

static void tell_of(const struct isolation *n, struct waiter *w)
{
    const char *trouble = enforcer_trouble(n->enforcer);
    if (!is_heard(n, w->pod)) {
        pod_event(w->pod->pod, NULL, true, "NetworkPolicyNotReady",
                  "waits to begin: no master has told this node yet which network policies select the pod");
    } else if (n->lacks.code != 0) {
        pod_event(w->pod->pod, NULL, true, "NetworkPolicyNotReady",
                  "does not begin: a network policy selects the pod, and %s", n->lacks.message);
    } else {
        pod_event(w->pod->pod, NULL, true, "NetworkPolicyNotReady",
                  "waits to begin until its network policies are in force%s%s", trouble[0] != '\0' ? ": " : "",
                  trouble);
    }
}

static void on_look(uv_timer_t *t)
{
    struct isolation *n = t->data;
    int64_t now = env_now_ms(n->agent->env);
    LIST_FOR_SAFE(it, &n->waiting)
    {
        struct waiter *w = LIST_ENTRY(it, struct waiter, link);
        if (w->pod->pod->deleting) {
            struct error err = {0};
            error_set(&err, ERR_CANCELED, "the pod is deleted");
            answer(w, &err);
        } else if (now >= w->event_ms) {
            w->event_ms = now + ISOLATION_AGAIN_MS;
            tell_of(n, w);
        }
    }
    let_go(n);
}

static void tell_node(struct isolation *n, char told[128], const char *before, const char *whose, const char *after)
{
    if (strcmp(told, whose) == 0 || n->agent->report == NULL) {
        return;
    }
    snprintf(told, 128, "%s", whose);
    if (whose[0] != '\0') {
        CLEANUP_FREE char *text = xasprintf("%s%s%s", before, whose, after);
        report_event(n->agent->report,
                     &(struct report_event){.warning = true, .reason = "NetworkPolicyPeersLeftOut", .message = text});
    }
}

/* What is left out is not allowed: people must see why. */
static void tell_left_out(struct isolation *n)
{
    struct policy_core_stats st;
    policy_core_get_stats(enforcer_core(n->enforcer), &st);
    tell_node(n, n->overflow, "what network policies allow ", st.overflow, " is too much: a part of it is not allowed");
    tell_node(n, n->lacking, "masters have no room for all peers of network policies: a part of what ", st.lacking,
              " allows is not allowed");
}

static void on_settled(void *data)
{
    tell_left_out(data);
    let_go(data);
}

/* ---- What is told ---- */

void isolation_open(struct agent *a)
{
    struct isolation *n = xcalloc(1, sizeof *n);
    struct enforcer_events events = {on_settled, n};
    n->agent = a;
    list_init(&n->waiting);
    uv_timer_init(a->loop, &n->look);
    n->look.data = n;
    if (a->hollow) {
        n->enforcer = enforcer_hollow_new(a->loop, &events);
    } else if (enforcer_new(a->loop, a->log, true, &events, &n->enforcer, &n->lacks) != 0) {
        log_warn(a->log, "policy", "pods that a network policy selects do not begin here: %s", n->lacks.message);
        n->enforcer = enforcer_hollow_new(a->loop, &events);
    }
    a->isolation = n;
}

void isolation_on_masters(struct agent *a, bool tell)
{
    static const char none[] = "\x83\xa8revision\x01\xa5whole\xc3\xa8"
                               "complete\xc3";
    if (a->isolation == NULL) {
        return;
    }
    a->isolation->untold = !tell;
    if (!tell) { /* kept as well: there are none */
        isolation_told(a, mp_of((const uint8_t *)none, sizeof none - 1));
        kept_policies_changed(a);
    }
    let_go(a->isolation);
}

void isolation_told(struct agent *a, struct mp message)
{
    struct isolation *n = a->isolation;
    if (n == NULL) {
        return;
    }
    policy_core_told(enforcer_core(n->enforcer), message);
    if (policy_core_revision(enforcer_core(n->enforcer)) > 0) {
        n->may_begin = true;
        enforcer_begin(n->enforcer);
        enforcer_changed(n->enforcer); /* and who waits is looked at when it has settled */
    }
}

void isolation_remember(struct agent *a, struct mp message, bool anew)
{
    struct isolation *n = a->isolation;
    if (n == NULL || mp_type(message) != MP_MAP) {
        return;
    }
    policy_core_told(enforcer_core(n->enforcer), message);
    policy_core_remembered(enforcer_core(n->enforcer));
    n->may_begin = policy_core_revision(enforcer_core(n->enforcer)) > 0;
    if (anew && n->may_begin) {
        enforcer_begin(n->enforcer);
    }
}

void isolation_write(struct agent *a, struct buf *out)
{
    struct isolation *n = a->isolation;
    if (n != NULL && policy_core_revision(enforcer_core(n->enforcer)) > 0) {
        policy_core_write(enforcer_core(n->enforcer), out);
    }
}

void isolation_bulk(struct agent *a, bool begins)
{
    if (a->isolation != NULL) {
        enforcer_pause_watch(a->isolation->enforcer, begins);
    }
}

/* ---- Pods ---- */

static void put_pod(struct isolation *n, const struct agent_pod *ap, const char *ip)
{
    uint32_t number;
    if (cidr_parse_address(str_of(ip), &number)) {
        policy_core_put_pod(enforcer_core(n->enforcer), ap->latest, number,
                            MAX(ap->latest->revision, ap->said_revision));
        enforcer_changed(n->enforcer);
    }
}

/* One that a policy selects waits for the kernel at least until the loop's next turn. */
void isolation_pod_comes(struct agent_pod *ap, const char *ip, isolation_cb *cb)
{
    struct isolation *n = ap->agent->isolation;
    if (n == NULL) {
        struct error err = {0};
        error_set(&err, ERR_CANCELED, "the agent is stopping");
        cb(NULL, &err, ap->pod);
        return;
    }
    if (is_heard(n, ap) && !policy_core_selects(enforcer_core(n->enforcer), ap->latest)) {
        put_pod(n, ap, ip);
        cb(ip, NULL, ap->pod);
        return;
    }
    struct waiter *w = xcalloc(1, sizeof *w);
    w->pod = ap;
    w->cb = cb;
    w->event_ms = env_now_ms(n->agent->env) + ISOLATION_EVENT_MS;
    snprintf(w->ip, sizeof w->ip, "%s", ip);
    list_push_back(&n->waiting, &w->link);
    put_pod(n, ap, ip);
    if (n->may_begin) {
        enforcer_begin(n->enforcer);
    }
    uv_timer_start(&n->look, on_look, LOOK_MS, LOOK_MS);
}

void isolation_pod_is_here(struct agent_pod *ap)
{
    struct isolation *n = ap->agent->isolation;
    for (struct list *it = n == NULL ? NULL : n->waiting.next; it != NULL && it != &n->waiting; it = it->next) {
        const struct waiter *w = LIST_ENTRY(it, struct waiter, link);
        if (w->pod == ap) {
            put_pod(n, ap, w->ip);
        }
    }
    if (n != NULL && ap->pod->ip[0] != '\0' && !ap->pod->spec->host_network && ap->pod->state < POD_CLEANING) {
        put_pod(n, ap, ap->pod->ip);
    }
}

void isolation_pod_left(struct agent_pod *ap)
{
    struct isolation *n = ap->agent->isolation;
    if (n != NULL) {
        policy_core_remove_pod(enforcer_core(n->enforcer), str_of(ap->uid));
        enforcer_changed(n->enforcer);
    }
}

/* ---- The end ---- */

static void on_part_closed(struct isolation *n)
{
    if (--n->closing == 0) {
        void (*cb)(void *data) = n->close_cb;
        void *data = n->close_data;
        free(n);
        cb(data);
    }
}

static void on_enforcer_closed(void *data)
{
    on_part_closed(data);
}

static void on_timer_closed(uv_handle_t *h)
{
    on_part_closed(h->data);
}

bool isolation_close(struct agent *a, void (*cb)(void *data), void *data)
{
    struct isolation *n = TAKE_PTR(a->isolation);
    struct error err = {0};
    if (n == NULL) {
        return false;
    }
    error_set(&err, ERR_CANCELED, "the agent is stopping");
    while (!list_empty(&n->waiting)) {
        answer(LIST_ENTRY(n->waiting.next, struct waiter, link), &err);
    }
    n->close_cb = cb;
    n->close_data = data;
    n->closing = 2;
    enforcer_close(n->enforcer, false, on_enforcer_closed, n);
    uv_close((uv_handle_t *)&n->look, on_timer_closed);
    return true;
}

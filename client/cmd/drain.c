/* rctl drain: a node is cordoned, and its pods are evicted, as fast as their disruption budgets let them go.
 *
 * A pod is WAITING -> (evicted) GOING -> (not there any more) GONE. What a budget refuses stays WAITING and is tried
 * again, ever more rarely; what another error refuses is FAILED. Whoever watches is told what holds a pod when that
 * changes. With --disable-eviction pods are deleted, and no budget is asked.
 *
 * Source of the options and of which pods need one: kubectl drain. */
#include <string.h>

#include "base/env.h"
#include "base/timefmt.h"
#include "client/cmd/node.h"

#define LOOK_MS      500 /* between two looks at what is left */
#define RETRY_MIN_MS 500
#define RETRY_MAX_MS 5000
#define TELL_MS      30000 /* what holds a pod is told again after so long, if it is something else by then */

static const struct option_row drain_options[] = {
    OPTION_ROW_SELECTOR,
    {"force", 0, OPTION_FLAG, NULL, NULL, NULL, "also pods that nothing will make anew"},
    {"delete-emptydir-data", 0, OPTION_FLAG, NULL, NULL, NULL, "also pods with emptyDir volumes, whose data is lost"},
    {"delete-local-data", 0, OPTION_FLAG, NULL, NULL, NULL, "the old word for --delete-emptydir-data"},
    {"pod-selector", 0, OPTION_VALUE, NULL, NULL, "SELECTOR", "only pods with such labels"},
    {"disable-eviction", 0, OPTION_FLAG, NULL, NULL, NULL, "delete pods, whatever disruption budgets say"},
    {"skip-wait-for-delete-timeout", 0, OPTION_VALUE, "0", NULL, "SECONDS",
     "leave out pods that have been ending for longer; 0: none"},
    {"chunk-size", 0, OPTION_VALUE, "500", NULL, "N", "taken for the sake of scripts"},
    {"ignore-daemonsets", 0, OPTION_FLAG, NULL, NULL, NULL, "leave pods of DaemonSets where they are"},
    {"grace-period", 0, OPTION_VALUE, "-1", NULL, "SECONDS", "how long containers may take to end"},
    {"timeout", 0, OPTION_VALUE, "0s", NULL, "DURATION", "how long to try for each node; 0: as long as it takes"},
    OPTION_ROW_DRY_RUN,
    OPTION_ROW_OUTPUT,
};

enum state { WAITING, GOING, GONE, FAILED };
struct leaving {
    const struct object *pod;
    enum state state;
    bool told;        /* that it is being evicted */
    int64_t next_ms;  /* WAITING: when it is tried again (api's clock) */
    int64_t pause_ms; /* and how long it waited last */
    char held[400];   /* by what, in the master's words; "": nothing yet */
    bool untold;      /* those words have not been told */
    int64_t told_ms;  /* when some were; 0: never */
};
struct drain {
    struct rctl *r;
    const struct object *node;
    struct delete_options how;
    int64_t timeout_ms, deadline_ms, skip_ms;
    bool deletes; /* instead of evictions */
    struct leaving *pods;
    unsigned count;
};

/* ---- Which pods ---- */

static bool has_empty_dir(const struct object *pod)
{
    for (struct mp_iter it = mp_iter(mp_path(object_mp(pod), "spec.volumes")); mp_next(&it);) {
        if (mp_type(mp_get(it.value, "emptyDir")) == MP_MAP) {
            return true;
        }
    }
    return false;
}

static bool of_daemonset(const struct object *pod)
{
    for (struct mp_iter it = mp_iter(mp_path(object_mp(pod), "metadata.ownerReferences")); mp_next(&it);) {
        if (str_is(mp_str(mp_get(it.value, "kind")), "DaemonSet")) {
            return true;
        }
    }
    return false;
}

/* How long it has been told to end already. */
static int64_t ending_since_ms(const struct object *pod)
{
    struct str at = mp_str(mp_path(object_mp(pod), "metadata.deletionTimestamp"));
    int64_t ms;
    return at.n > 0 && timefmt_parse(at, &ms) ? rctl_now_ms() - ms : 0;
}

/* What becomes of it, and why (unless it goes). */
enum fate { FATE_GOES, FATE_STAYS, FATE_REFUSED };
static enum fate fate_of(const struct drain *d, const struct object *pod, const char **why)
{
    struct rctl *r = d->r;
    struct str phase = mp_str(mp_path(object_mp(pod), "status.phase"));
    if (pod->deleting) {
        return d->skip_ms > 0 && ending_since_ms(pod) > d->skip_ms ? FATE_STAYS : FATE_GOES;
    }
    if (str_is(phase, "Succeeded") || str_is(phase, "Failed")) {
        return FATE_GOES;
    }
    if (of_daemonset(pod)) {
        *why = "belongs to a DaemonSet (--ignore-daemonsets)";
        return opt_flag(r, "ignore-daemonsets") ? FATE_STAYS : FATE_REFUSED;
    }
    *why = "nothing would make it anew (--force)";
    if (pod->owner_uid.n == 0 && !opt_flag(r, "force")) {
        return FATE_REFUSED;
    }
    *why = "has an emptyDir volume (--delete-emptydir-data)";
    return has_empty_dir(pod) && !opt_flag(r, "delete-emptydir-data") && !opt_flag(r, "delete-local-data")
               ? FATE_REFUSED
               : FATE_GOES;
}

/* All or nothing: where one cannot be moved no pod is touched. */
static bool choose(struct drain *d, const struct api_list *pods)
{
    CLEANUP_BUF struct buf left = BUF_INIT;
    bool refused = false;
    d->pods = arena_alloc(&d->r->arena, MAX(pods->count, 1u) * sizeof *d->pods);
    for (unsigned i = 0; i < pods->count; i++) {
        const struct object *p = pods->items[i];
        const char *why = NULL;
        enum fate fate = fate_of(d, p, &why);
        if (fate == FATE_REFUSED) {
            rctl_note(d->r, "error: pod %.*s/%.*s cannot be moved: %s", STR_ARG(p->ns), STR_ARG(p->name), why);
            refused = true;
        } else if (fate == FATE_STAYS && !p->deleting) {
            buf_printf(&left, "%s%.*s/%.*s", left.size > 0 ? ", " : "", STR_ARG(p->ns), STR_ARG(p->name));
        } else if (fate == FATE_GOES) {
            d->pods[d->count++] = (struct leaving){.pod = p, .pause_ms = RETRY_MIN_MS / 2};
        }
    }
    if (!refused && left.size > 0) {
        rctl_note(d->r, "Pods of DaemonSets stay: %s", buf_cstr(&left));
    }
    return !refused;
}

/* ---- One try ---- */

static int64_t clock_ms(void)
{
    return env_now_ms(env_real());
}

/* Asked again and again for as long as it takes: what a try needs goes with it. */
static int ask(struct drain *d, const struct leaving *l, struct error *err)
{
    const struct object *p = l->pod;
    CLEANUP_REPLY struct api_reply reply = {0};
    CLEANUP_ARENA struct arena a;
    arena_init(&a);
    if (d->how.dry == DRY_RUN_CLIENT) {
        return 0;
    }
    struct value *params = value_map(&a);
    if (d->deletes) {
        value_set(&a, params, "kind", value_cstr(&a, p->kind->name));
    }
    value_set(&a, params, "namespace", value_str(&a, p->ns));
    value_set(&a, params, "name", value_str(&a, p->name));
    value_set(&a, params, "uid", value_str(&a, p->uid));
    if (d->how.grace_s >= 0) {
        value_set(&a, params, "gracePeriodSeconds", value_int(&a, d->how.grace_s));
    }
    if (d->how.dry == DRY_RUN_SERVER) {
        value_set(&a, params, "dryRun", value_bool(&a, true));
    }
    return api_write(d->r->api, &a, d->deletes ? "delete" : "evict", params, &reply, err);
}

static bool is_held(const struct error *err)
{
    struct error_cause_text cause;
    return error_cause(err, 0, &cause) &&
           (cause.reason == ERROR_CAUSE_DISRUPTION_BUDGET || cause.reason == ERROR_CAUSE_NAMESPACE_TERMINATING);
}

static void hold(struct drain *d, struct leaving *l, const struct error *err)
{
    const struct object *p = l->pod;
    l->pause_ms = MIN(l->pause_ms * 2, RETRY_MAX_MS);
    l->next_ms = clock_ms() + l->pause_ms;
    l->untold |= strncmp(l->held, err->message, sizeof l->held - 1) != 0;
    snprintf(l->held, sizeof l->held, "%.*s", (int)sizeof l->held - 1, err->message);
    if (l->untold && (l->told_ms == 0 || clock_ms() - l->told_ms >= TELL_MS)) {
        l->untold = false;
        l->told_ms = clock_ms();
        rctl_note(d->r, "error when evicting pod %.*s/%.*s (it is tried again): %s", STR_ARG(p->ns), STR_ARG(p->name),
                  err->message);
    }
}

static void try_one(struct drain *d, struct leaving *l)
{
    const struct object *p = l->pod;
    struct error err = {0};
    if (!l->told) {
        fprintf(d->r->out, "evicting pod %.*s/%.*s\n", STR_ARG(p->ns), STR_ARG(p->name));
        fflush(d->r->out);
        l->told = true;
    }
    int rc = ask(d, l, &err);
    if (rc == ERR_UNSUPPORTED && !d->deletes) {
        rctl_note(d->r, "the masters are older and know no evictions, nor budgets: pods are deleted");
        d->deletes = true;
        err = (struct error){0};
        rc = ask(d, l, &err);
    }
    if (rc == 0) {
        l->state = d->how.dry == DRY_RUN_NONE ? GOING : GONE;
    } else if (rc == ERR_NOT_FOUND || (rc == ERR_CONFLICT && strcmp(err.field, "metadata.uid") == 0)) {
        l->state = GONE; /* another one has its name */
    } else if (is_held(&err) && d->how.dry == DRY_RUN_NONE) {
        hold(d, l, &err);
    } else {
        l->state = FAILED;
        rctl_note(d->r, "error when evicting pod %.*s/%.*s: %s", STR_ARG(p->ns), STR_ARG(p->name), err.message);
    }
}

/* ---- Until all are gone ---- */

static unsigned in_state(const struct drain *d, enum state state)
{
    unsigned n = 0;
    for (unsigned i = 0; i < d->count; i++) {
        n += d->pods[i].state == state;
    }
    return n;
}

static bool is_there(const struct api_list *pods, const struct object *pod)
{
    for (unsigned i = 0; i < pods->count; i++) {
        if (str_eq(pods->items[i]->uid, pod->uid)) {
            return true;
        }
    }
    return false;
}

static int list_pods(struct drain *d, struct api_list *out, struct error *err)
{
    char on[300];
    struct api_list_query q = {
        .kind = kind_by_id(KIND_POD), .label_selector = opt(d->r, "pod-selector"), .field_selector = on};
    snprintf(on, sizeof on, "spec.nodeName=%.*s", STR_ARG(d->node->name));
    return api_list(d->r->api, &q, out, err);
}

static int look(struct drain *d, struct error *err)
{
    CLEANUP_LIST struct api_list now = {0};
    int rc = list_pods(d, &now, err);
    for (unsigned i = 0; rc == 0 && i < d->count; i++) {
        struct leaving *l = &d->pods[i];
        if (l->state != GONE && l->state != FAILED && !is_there(&now, l->pod)) {
            l->state = GONE;
            fprintf(d->r->out, "pod/%.*s %s\n", STR_ARG(l->pod->name), d->deletes ? "deleted" : "evicted");
        }
    }
    fflush(d->r->out);
    return rc;
}

/* Milliseconds until there is something to do. */
static int64_t rest_ms(const struct drain *d)
{
    int64_t now = clock_ms(), ms = in_state(d, GOING) > 0 ? LOOK_MS : RETRY_MAX_MS;
    for (unsigned i = 0; i < d->count; i++) {
        if (d->pods[i].state == WAITING) {
            ms = MIN(ms, d->pods[i].next_ms - now);
        }
    }
    return MAX(MIN(ms, d->deadline_ms - now), 1);
}

static void tell_left(const struct drain *d)
{
    for (unsigned i = 0; i < d->count; i++) {
        const struct leaving *l = &d->pods[i];
        if (l->state == WAITING || l->state == GOING) {
            rctl_note(d->r, "pod %.*s/%.*s is still there: %s", STR_ARG(l->pod->ns), STR_ARG(l->pod->name),
                      l->state == WAITING && l->held[0] != '\0'
                          ? l->held
                          : "it is being deleted, and its node has not said yet that its containers have ended");
        }
    }
}

/* Each pod in turn is tried, those that a budget holds again and again. */
static int evict_all(struct drain *d, struct error *err)
{
    const bool never = false;
    for (;;) {
        int64_t now = clock_ms();
        for (unsigned i = 0; i < d->count; i++) {
            if (d->pods[i].state == WAITING && d->pods[i].next_ms <= now) {
                try_one(d, &d->pods[i]);
            }
        }
        if (in_state(d, GONE) + in_state(d, FAILED) < d->count && look(d, err) != 0) {
            return err->code;
        }
        if (in_state(d, GONE) + in_state(d, FAILED) == d->count) {
            return 0;
        }
        if (clock_ms() >= d->deadline_ms) {
            tell_left(d);
            return error_set(err, ERR_TIMEOUT, "node \"%.*s\" was not drained within %s: %u of %u pods are still there",
                             STR_ARG(d->node->name), opt(d->r, "timeout"), in_state(d, WAITING) + in_state(d, GOING),
                             d->count);
        }
        api_run(d->r->api, &never, rest_ms(d));
    }
}

static int drain_node(struct drain *d)
{
    struct rctl *r = d->r;
    struct error err = {0};
    CLEANUP_LIST struct api_list pods = {0};
    d->count = 0;
    d->deadline_ms = d->timeout_ms == 0 ? INT64_MAX : clock_ms() + d->timeout_ms;
    if (list_pods(d, &pods, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (!choose(d, &pods)) {
        return EXIT_FAILED;
    }
    if (evict_all(d, &err) != 0) {
        return rctl_fail(r, &err);
    }
    return in_state(d, FAILED) > 0 ? EXIT_FAILED : common_print_object(r, d->node, "drained", d->how.dry);
}

static int run_drain(struct rctl *r)
{
    struct error err = {0};
    struct drain d = {.r = r, .deletes = opt_flag(r, "disable-eviction")};
    CLEANUP_LIST struct api_list nodes = {0};
    if (args_int("grace-period", opt(r, "grace-period"), -1, INT32_MAX, &d.how.grace_s, &err) != 0 ||
        args_duration_ms("timeout", opt(r, "timeout"), &d.timeout_ms, &err) != 0 ||
        args_duration_ms("skip-wait-for-delete-timeout", opt(r, "skip-wait-for-delete-timeout"), &d.skip_ms, &err) !=
            0 ||
        common_dry_run(r, &d.how.dry, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (opt_flag(r, "delete-local-data")) {
        rctl_note(r, "Flag --delete-local-data is old: it is called --delete-emptydir-data now");
    }
    int code = node_cordon_all(r, true, &nodes);
    for (unsigned i = 0; i < nodes.count; i++) { /* one that cannot be drained does not keep the others from it */
        d.node = nodes.items[i];
        int one = drain_node(&d);
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

const struct command command_drain = {
    .name = "drain",
    .usage = "NODE... [--force] [--delete-emptydir-data] [--ignore-daemonsets]",
    .summary = "Cordon a node and move its pods away, as disruption budgets allow",
    .examples = "  rctl drain n1\n"
                "  # also pods without a controller, and those whose scratch data may go\n"
                "  rctl drain n1 --force --delete-emptydir-data\n"
                "  # give up after five minutes; whatever budgets say\n"
                "  rctl drain n1 --timeout=5m\n"
                "  rctl drain n1 --disable-eviction\n"
                "  rctl uncordon n1\n",
    .options = drain_options,
    .options_count = ARRAY_SIZE(drain_options),
    .run = run_drain,
};

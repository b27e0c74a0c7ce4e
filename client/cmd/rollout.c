/* rctl rollout: follow, look back, go back, hold and restart the rollouts of Deployments. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"
#include "client/cmd/common.h"
#include "proto/describe/describe.h"

#define REVISION_ANNOTATION "deployment.kubernetes.io/revision"
#define CAUSE_ANNOTATION    "kubernetes.io/change-cause"
#define RESTART_ANNOTATION  "kubectl.kubernetes.io/restartedAt"
#define HASH_LABEL          "pod-template-hash"

static const char *cstr(struct rctl *r, struct str s)
{
    return arena_strndup(&r->arena, s.n == 0 ? "" : s.p, s.n);
}

/* What selects Deployments, for all subcommands. */
#define OPTION_ROWS_SELECT OPTION_ROW_SELECTOR, OPTION_ROW_ALL, OPTION_ROW_FILENAME, OPTION_ROW_RECURSIVE

typedef int rollout_fn(struct rctl *r, const struct object *o);

/* Does it for each Deployment that words, -l, --all or -f select; one that is missing or fails does not keep the others
 * from it. The code of the first failure. */
static int for_each(struct rctl *r, rollout_fn *one)
{
    struct error err = {0};
    CLEANUP_LIST struct api_list list = {0};
    int code = EXIT_DONE;
    if (args_given(&r->args, "filename")) {
        r->args.words_count = 0;
    } else {
        struct resources res;
        if (resource_parse(&r->arena, r->args.words, r->args.words_count, &res, &err) != 0) {
            return rctl_usage(r, "%s", err.message);
        }
        for (unsigned i = 0; i < res.count; i++) {
            if (res.items[i].kind->id != KIND_DEPLOYMENT) {
                return rctl_usage(r, "%s have no rollouts; Deployments have: deploy/NAME", res.items[i].kind->plural);
            }
        }
    }
    if (rctl_connect(r, &err) != 0 || common_select_there(r, &list, &code, &err) != 0) {
        return common_fail(r, &err);
    }
    for (unsigned i = 0; i < list.count; i++) {
        const struct object *o = list.items[i];
        if (o->kind->id != KIND_DEPLOYMENT) {
            rctl_note(r, "%s is left out: only Deployments have rollouts", resource_title(&r->arena, o->kind, o->name));
            continue;
        }
        int rc = one(r, o);
        code = code == EXIT_DONE ? rc : code;
    }
    return code;
}

/* The revision that the controller has written on it; 0 if none. */
static int64_t revision_of(const struct object *rs)
{
    struct str s = object_annotation(rs, REVISION_ANNOTATION);
    int64_t v = 0;
    for (size_t i = 0; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++) {
        v = v * 10 + (s.p[i] - '0');
    }
    return v;
}

/* ---- status ---- */

#define STATE_SIZE 1024

struct rollout_watch {
    struct rctl *r;
    const char *name;
    char last[STATE_SIZE];
    char failure[STATE_SIZE]; /* told already */
    int64_t revision;         /* --revision; 0 = any */
    bool once;
    int code;
};

static struct mp condition_of(struct mp o, const char *type)
{
    for (struct mp_iter it = mp_iter(mp_path(o, "status.conditions")); mp_next(&it);) {
        if (str_is(mp_str(mp_get(it.value, "type")), type)) {
            return it.value;
        }
    }
    return (struct mp){NULL, NULL};
}

static bool deadline_exceeded(struct mp o)
{
    return str_is(mp_str(mp_get(condition_of(o, "Progressing"), "reason")), "ProgressDeadlineExceeded");
}

/* Why no pods can be made, as the controllers say it; empty: they can. */
static struct str failure_of(struct mp o)
{
    struct mp c = condition_of(o, "ReplicaFailure");
    return str_is(mp_str(mp_get(c, "status")), "True") ? mp_str(mp_get(c, "message")) : STR_NONE;
}

/* What kubectl says about the state of a Deployment. True: it is over (*code tells how). */
static bool rollout_state(const struct object *o, int64_t revision, char *text, size_t size, int *code)
{
    struct mp m = object_mp(o);
    int n = (int)o->name.n;
    const char *name = o->name.p;
    int64_t want = mp_int(mp_path(m, "spec.replicas"), 1);
    int64_t have = mp_int(mp_path(m, "status.replicas"), 0);
    int64_t updated = mp_int(mp_path(m, "status.updatedReplicas"), 0);
    int64_t available = mp_int(mp_path(m, "status.availableReplicas"), 0);
    *code = EXIT_DONE;
    if (revision > 0 && revision_of(o) != revision) {
        snprintf(text, size, "desired revision (%" PRId64 ") is different from the running revision (%" PRId64 ")",
                 revision, revision_of(o));
        *code = EXIT_FAILED;
        return true;
    }
    if (o->generation > mp_int(mp_path(m, "status.observedGeneration"), 0)) {
        snprintf(text, size, "Waiting for deployment spec update to be observed...");
        return false;
    }
    if (deadline_exceeded(m)) {
        struct str why = failure_of(m);
        if (why.n > 0) {
            snprintf(text, size, "deployment \"%.*s\" exceeded its progress deadline: %.*s", n, name, STR_ARG(why));
        } else {
            snprintf(text, size,
                     "deployment \"%.*s\" exceeded its progress deadline; \"rctl get pods\" and \"rctl describe pod\" "
                     "tell what its pods wait for",
                     n, name);
        }
        *code = EXIT_FAILED;
        return true;
    }
    if (updated < want) {
        snprintf(text, size,
                 "Waiting for deployment \"%.*s\" rollout to finish: %" PRId64 " out of %" PRId64
                 " new replicas have been updated...",
                 n, name, updated, want);
        return false;
    }
    if (have > updated) {
        snprintf(text, size,
                 "Waiting for deployment \"%.*s\" rollout to finish: %" PRId64
                 " old replicas are pending termination...",
                 n, name, have - updated);
        return false;
    }
    if (available < updated) {
        snprintf(text, size,
                 "Waiting for deployment \"%.*s\" rollout to finish: %" PRId64 " of %" PRId64
                 " updated replicas are available...",
                 n, name, available, updated);
        return false;
    }
    snprintf(text, size, "deployment \"%.*s\" successfully rolled out", n, name);
    return true;
}

static bool rollout_event(enum api_event type, const struct object *o, uint64_t revision, void *data)
{
    (void)revision;
    struct rollout_watch *w = data;
    char text[STATE_SIZE];
    if (type == API_SYNCED) {
        return true;
    }
    if (type == API_DELETED) {
        rctl_note(w->r, "error: deployment \"%s\" was deleted meanwhile", w->name);
        w->code = EXIT_NOT_FOUND;
        return false;
    }
    bool over = rollout_state(o, w->revision, text, sizeof(text), &w->code);
    if (w->code != EXIT_DONE) {
        rctl_note(w->r, "error: %s", text);
    } else if (strcmp(text, w->last) != 0) {
        fprintf(w->r->out, "%s\n", text);
        fflush(w->r->out);
        memcpy(w->last, text, sizeof(text));
    }
    struct str why = failure_of(object_mp(o));
    if (!over && why.n > 0 && !str_eq(why, str_of(w->failure))) {
        rctl_note(w->r, "no pods can be made: %.*s", STR_ARG(why));
        snprintf(w->failure, sizeof(w->failure), "%.*s", STR_ARG(why));
    }
    return !over && !w->once;
}

static const struct option_row status_options[] = {
    {"watch", 'w', OPTION_FLAG, "true", NULL, NULL, "follow until the rollout is over"},
    {"timeout", 0, OPTION_VALUE, "0s", NULL, "DURATION", "how long to wait; 0: as long as it takes"},
    {"revision", 0, OPTION_VALUE, "0", NULL, "N", "fail if this is not the revision that is rolled out"},
    OPTION_ROWS_SELECT,
};

static int status_of(struct rctl *r, const struct object *o)
{
    struct error err = {0};
    struct rollout_watch w = {.r = r, .once = !opt_flag(r, "watch")};
    int64_t timeout_ms;
    if (args_duration_ms("timeout", opt(r, "timeout"), &timeout_ms, &err) != 0 ||
        args_int("revision", opt(r, "revision"), 0, INT64_MAX, &w.revision, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    w.name = cstr(r, o->name);
    struct api_list_query q = {
        .kind = o->kind, .ns = cstr(r, o->ns), .field_selector = arena_printf(&r->arena, "metadata.name=%s", w.name)};
    if (api_watch(r->api, &q, timeout_ms, rollout_event, &w, &err) != 0) {
        int code = rctl_fail(r, &err);
        if (err.code == ERR_TIMEOUT && w.failure[0] == '\0') {
            rctl_note(r, "\"rctl get pods\" and \"rctl describe pod\" tell what its pods wait for");
        }
        return code;
    }
    return w.code;
}

static int run_status(struct rctl *r)
{
    return for_each(r, status_of);
}

static const struct command rollout_status = {
    .name = "status",
    .usage = "deploy/NAME... | deploy -l SELECTOR [--timeout DURATION]",
    .summary = "Follow a rollout to its end",
    .examples = "  rctl rollout status deploy/hello\n"
                "  rctl rollout status deploy/hello --timeout 2m\n"
                "  # only say how it stands\n"
                "  rctl rollout status deploy/hello --watch=false\n",
    .options = status_options,
    .options_count = ARRAY_SIZE(status_options),
    .run = run_status,
};

/* ---- history ---- */

static int compare_revisions(const void *x, const void *y)
{
    int64_t a = revision_of(*(struct object *const *)x), b = revision_of(*(struct object *const *)y);
    return (a > b) - (a < b);
}

/* The ReplicaSets that belong to the Deployment, by revision. */
static int list_revisions(struct rctl *r, const struct object *o, struct api_list *out, struct error *err)
{
    struct api_list all = {0};
    struct api_list_query q = {.kind = kind_by_id(KIND_REPLICASET), .ns = cstr(r, o->ns)};
    int rc = api_list(r->api, &q, &all, err);
    out->items = xcalloc(all.count + 1, sizeof(*out->items));
    for (unsigned i = 0; i < all.count && rc == 0; i++) {
        if (str_eq(all.items[i]->owner_uid, o->uid)) {
            out->items[out->count++] = object_ref(all.items[i]);
        }
    }
    api_list_close(&all);
    qsort(out->items, out->count, sizeof(*out->items), compare_revisions);
    return rc;
}

static const struct object *find_revision(const struct api_list *list, int64_t revision)
{
    for (unsigned i = 0; i < list->count; i++) {
        if (revision_of(list->items[i]) == revision) {
            return list->items[i];
        }
    }
    return NULL;
}

static int no_revision(struct rctl *r, const struct object *o, int64_t revision)
{
    struct error err = {0};
    error_set(&err, ERR_NOT_FOUND,
              "unable to find revision %" PRId64 " of deployment \"%.*s\"; \"rctl rollout history "
              "deploy/%.*s\" lists them",
              revision, STR_ARG(o->name), STR_ARG(o->name));
    return rctl_fail(r, &err);
}

static const struct option_row history_options[] = {
    {"revision", 0, OPTION_VALUE, "0", NULL, "N", "show the pod template of this one"},
    OPTION_ROW_OUTPUT,
    {"template", 0, OPTION_VALUE, NULL, NULL, NULL, NULL},
    OPTION_ROWS_SELECT,
};

static void write_history(struct rctl *r, const struct object *o, const struct api_list *list, struct buf *out)
{
    const char **cells = arena_alloc(&r->arena, (2 * (size_t)list->count + 2) * sizeof(*cells));
    cells[0] = "REVISION";
    cells[1] = "CHANGE-CAUSE";
    for (unsigned i = 0; i < list->count; i++) {
        struct str cause = object_annotation(list->items[i], CAUSE_ANNOTATION);
        cells[2 * i + 2] = arena_printf(&r->arena, "%" PRId64, revision_of(list->items[i]));
        cells[2 * i + 3] = cause.n == 0 ? "<none>" : cstr(r, cause);
    }
    buf_printf(out, "%s\n", resource_title(&r->arena, o->kind, o->name));
    grid_print(out, cells, 2, list->count + 1);
}

static int history_of(struct rctl *r, const struct object *o)
{
    struct error err = {0};
    int64_t revision;
    struct print_options po = {0};
    CLEANUP_LIST struct api_list list = {0};
    if (args_int("revision", opt(r, "revision"), 0, INT64_MAX, &revision, &err) != 0 ||
        print_parse_form(&r->arena, opt(r, "output"), opt(r, "template"), &po, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (po.form == PRINT_WIDE) {
        return rctl_usage(r, "a history has no wide form");
    }
    if (list_revisions(r, o, &list, &err) != 0) {
        return rctl_fail(r, &err);
    }
    const struct object *rs = revision == 0 ? NULL : find_revision(&list, revision);
    if (revision > 0 && rs == NULL) {
        return no_revision(r, o, revision);
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    if (po.form != PRINT_TABLE) {
        struct object *single = (struct object *)rs;
        struct object *const *items = rs == NULL ? list.items : &single;
        buf_puts(&out, po.form == PRINT_YAML && r->documents++ > 0 ? "---\n" : "");
        if (print_objects(&r->arena, &out, &po, items, rs == NULL ? list.count : 1, rs != NULL, &err) != 0) {
            return rctl_fail(r, &err);
        }
    } else if (rs != NULL) {
        buf_printf(&out, "%s with revision #%" PRId64 "\nPod Template:\n", resource_title(&r->arena, o->kind, o->name),
                   revision);
        describe_pod_template(&out, mp_path(object_mp(rs), "spec.template"), 1);
    } else {
        write_history(r, o, &list, &out);
    }
    rctl_write(r, &out);
    return EXIT_DONE;
}

static int run_history(struct rctl *r)
{
    return for_each(r, history_of);
}

static const struct command rollout_history = {
    .name = "history",
    .usage = "deploy/NAME [--revision N]",
    .summary = "The revisions of a Deployment",
    .examples = "  rctl rollout history deploy/hello\n"
                "  # what a revision consists of\n"
                "  rctl rollout history deploy/hello --revision 2\n"
                "  rctl rollout history deploy/hello --revision 2 -o yaml\n"
                "  rctl rollout undo deploy/hello --to-revision 2\n",
    .options = history_options,
    .options_count = ARRAY_SIZE(history_options),
    .run = run_history,
};

/* ---- undo ---- */

static const struct option_row undo_options[] = {
    {"to-revision", 0, OPTION_VALUE, "0", NULL, "N", "the revision to go back to; 0: the one before"},
    OPTION_ROW_DRY_RUN,
    OPTION_ROW_OUTPUT,
    OPTION_ROWS_SELECT,
};

/* The template as the user wrote it: without the label that the controller adds. */
static struct value *template_of(struct rctl *r, const struct object *rs)
{
    struct value *t = value_path(object_to_value(&r->arena, rs), "spec.template");
    value_remove(value_path(t, "metadata.labels"), HASH_LABEL);
    return t;
}

/* [{op, path, value}]: the template, on condition that the Deployment is the same object still. */
static struct value *undo_patch(struct rctl *r, const struct object *o, struct value *template, const struct object *rs)
{
    struct arena *a = &r->arena;
    struct value *list = value_list(a);
    const struct {
        const char *op, *path;
        struct value *value;
    } ops[] = {
        {"test", "/metadata/uid", value_str(a, o->uid)},
        {"replace", "/spec/template", template},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
        struct value *m = value_map(a);
        value_set(a, m, "op", value_cstr(a, ops[i].op));
        value_set(a, m, "path", value_cstr(a, ops[i].path));
        value_set(a, m, "value", ops[i].value);
        value_append(a, list, m);
    }
    struct str cause = object_annotation(rs, CAUSE_ANNOTATION);
    if (cause.n > 0 && object_annotation(o, CAUSE_ANNOTATION).n > 0) {
        struct value *m = value_map(a);
        value_set(a, m, "op", value_cstr(a, "replace"));
        value_set(a, m, "path", value_cstr(a, "/metadata/annotations/kubernetes.io~1change-cause"));
        value_set(a, m, "value", value_str(a, cause));
        value_append(a, list, m);
    }
    return list;
}

static int undo_of(struct rctl *r, const struct object *o)
{
    struct error err = {0};
    int64_t to;
    enum dry_run dry;
    CLEANUP_LIST struct api_list list = {0};
    if (args_int("to-revision", opt(r, "to-revision"), 0, INT64_MAX, &to, &err) != 0 ||
        common_dry_run(r, &dry, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (mp_bool(mp_path(object_mp(o), "spec.paused"), false)) {
        error_set(&err, ERR_INVALID,
                  "you cannot rollback a paused deployment; resume it first with 'rctl rollout "
                  "resume deploy/%.*s' and try again",
                  STR_ARG(o->name));
        return rctl_fail(r, &err);
    }
    if (list_revisions(r, o, &list, &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (to == 0 && list.count < 2) {
        error_set(&err, ERR_NOT_FOUND, "no rollout history found for deployment \"%.*s\"", STR_ARG(o->name));
        return rctl_fail(r, &err);
    }
    const struct object *rs = to == 0 ? list.items[list.count - 2] : find_revision(&list, to);
    if (rs == NULL) {
        return no_revision(r, o, to);
    }
    struct value *template = template_of(r, rs);
    if (kind_equal(o->kind, "spec.template", template, value_path(object_to_value(&r->arena, o), "spec.template"))) {
        return common_print_object(
            r, o,
            arena_printf(&r->arena, "skipped rollback (current template already matches revision %" PRId64 ")",
                         revision_of(rs)),
            dry);
    }
    CLEANUP_OBJECT struct object *after = NULL;
    if (common_patch(r, o->kind, cstr(r, o->ns), cstr(r, o->name), "json", undo_patch(r, o, template, rs), "",
                     dry == DRY_RUN_CLIENT ? DRY_RUN_SERVER : dry, &after, NULL, &err) != 0) {
        return rctl_fail(r, &err);
    }
    return common_print_object(r, after, "rolled back", dry);
}

static int run_undo(struct rctl *r)
{
    return for_each(r, undo_of);
}

static const struct command rollout_undo = {
    .name = "undo",
    .usage = "deploy/NAME [--to-revision N]",
    .summary = "Go back to an earlier revision",
    .examples = "  # the one before\n"
                "  rctl rollout undo deploy/hello\n"
                "  rctl rollout undo deploy/hello --to-revision 2\n"
                "  rctl rollout status deploy/hello\n",
    .options = undo_options,
    .options_count = ARRAY_SIZE(undo_options),
    .run = run_undo,
};

/* ---- pause, resume, restart ---- */

static const struct option_row plain_options[] = {OPTION_ROW_DRY_RUN, OPTION_ROW_OUTPUT, OPTION_ROWS_SELECT};

static int patch_deployment(struct rctl *r, const struct object *o, struct value *patch, const char *verb)
{
    struct error err = {0};
    enum dry_run dry;
    if (common_dry_run(r, &dry, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    CLEANUP_OBJECT struct object *after = NULL;
    if (common_patch(r, o->kind, cstr(r, o->ns), cstr(r, o->name), "merge", patch, "",
                     dry == DRY_RUN_CLIENT ? DRY_RUN_SERVER : dry, &after, NULL, &err) != 0) {
        return rctl_fail(r, &err);
    }
    return common_print_object(r, after, verb, dry);
}

static int set_paused(struct rctl *r, const struct object *o, bool paused)
{
    if (mp_bool(mp_path(object_mp(o), "spec.paused"), false) == paused) {
        struct error err = {0};
        error_set(&err, ERR_INVALID, "deployments.apps \"%.*s\" is %s", STR_ARG(o->name),
                  paused ? "already paused" : "not paused");
        return rctl_fail(r, &err);
    }
    struct value *patch = value_map(&r->arena);
    value_set(&r->arena, value_ensure_map(&r->arena, patch, "spec"), "paused",
              paused ? value_bool(&r->arena, true) : value_null(&r->arena));
    return patch_deployment(r, o, patch, paused ? "paused" : "resumed");
}

static int pause_of(struct rctl *r, const struct object *o)
{
    return set_paused(r, o, true);
}

static int resume_of(struct rctl *r, const struct object *o)
{
    return set_paused(r, o, false);
}

static int run_pause(struct rctl *r)
{
    return for_each(r, pause_of);
}

static int run_resume(struct rctl *r)
{
    return for_each(r, resume_of);
}

static int restart_of(struct rctl *r, const struct object *o)
{
    if (mp_bool(mp_path(object_mp(o), "spec.paused"), false)) {
        struct error err = {0};
        error_set(&err, ERR_INVALID,
                  "deployments.apps \"%.*s\" is paused; \"rctl rollout resume deploy/%.*s\" comes first",
                  STR_ARG(o->name), STR_ARG(o->name));
        return rctl_fail_here(r, &err);
    }
    char now[TIMEFMT_SIZE];
    timefmt_rfc3339(rctl_now_ms(), now);
    struct arena *a = &r->arena;
    struct value *patch = value_map(a);
    struct value *template = value_ensure_map(a, value_ensure_map(a, patch, "spec"), "template");
    struct value *annotations = value_ensure_map(a, value_ensure_map(a, template, "metadata"), "annotations");
    value_set(a, annotations, RESTART_ANNOTATION, value_cstr(a, now));
    return patch_deployment(r, o, patch, "restarted");
}

static int run_restart(struct rctl *r)
{
    return for_each(r, restart_of);
}

#define PLAIN_COMMAND(var, title, function, text, lines)                                                               \
    static const struct command var = {.name = title,                                                                  \
                                       .usage = "deploy/NAME... | deploy -l SELECTOR",                                 \
                                       .summary = text,                                                                \
                                       .examples = lines,                                                              \
                                       .options = plain_options,                                                       \
                                       .options_count = ARRAY_SIZE(plain_options),                                     \
                                       .run = function}
PLAIN_COMMAND(rollout_pause, "pause", run_pause, "Hold a rollout: changes of the template wait",
              "  rctl rollout pause deploy/hello\n"
              "  rctl set image deploy/hello hello=hello:2.0\n"
              "  rctl rollout resume deploy/hello\n");
PLAIN_COMMAND(rollout_resume, "resume", run_resume, "Let a rollout go on",
              "  rctl rollout resume deploy/hello\n"
              "  rctl rollout status deploy/hello\n");
PLAIN_COMMAND(rollout_restart, "restart", run_restart, "Replace all pods, one by one, without changing anything",
              "  rctl rollout restart deploy/hello\n"
              "  rctl rollout status deploy/hello\n");

static const struct command *const rollout_subs[] = {&rollout_status, &rollout_history, &rollout_undo, &rollout_pause,
                                                     &rollout_resume, &rollout_restart, NULL};
const struct command command_rollout = {
    .name = "rollout",
    .usage = "status|history|undo|pause|resume|restart deploy/NAME",
    .summary = "Follow and steer the rollout of a Deployment",
    .examples = "  rctl rollout status deploy/hello\n"
                "  rctl rollout history deploy/hello\n"
                "  rctl rollout undo deploy/hello\n",
    .subs = rollout_subs,
};

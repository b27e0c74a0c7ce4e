/* rctl rollout: follow, look back, go back, hold and restart the rollouts of Deployments,
 * DaemonSets and StatefulSets. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"
#include "client/cmd/common.h"
#include "client/cmd/rollout_kind.h"
#include "proto/describe/describe.h"

#define CAUSE_ANNOTATION   "kubernetes.io/change-cause"
#define ROLLOUT_NAMES      "(deploy|ds|sts)/NAME"
#define RESTART_ANNOTATION "kubectl.kubernetes.io/restartedAt"

static const char *cstr(struct rctl *r, struct str s)
{
    return arena_strndup(&r->arena, s.n == 0 ? "" : s.p, s.n);
}

/* What selects them, for all subcommands. */
#define OPTION_ROWS_SELECT OPTION_ROW_SELECTOR, OPTION_ROW_ALL, OPTION_ROW_FILENAME, OPTION_ROW_RECURSIVE

typedef int rollout_fn(struct rctl *r, const struct object *o);

/* Does it for each of them that words, -l, --all or -f select; one that is missing or fails does not keep the others
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
            if (rollout_kind_of(res.items[i].kind) == NULL) {
                return rctl_usage(r, "%s have no rollouts; Deployments, DaemonSets and StatefulSets have: deploy/NAME",
                                  res.items[i].kind->plural);
            }
        }
    }
    if (rctl_connect(r, &err) != 0 || common_select_there(r, &list, &code, &err) != 0) {
        return common_fail(r, &err);
    }
    for (unsigned i = 0; i < list.count; i++) {
        const struct object *o = list.items[i];
        if (rollout_kind_of(o->kind) == NULL) {
            rctl_note(r, "%s is left out: only Deployments, DaemonSets and StatefulSets have rollouts",
                      resource_title(&r->arena, o->kind, o->name));
            continue;
        }
        int rc = one(r, o);
        code = code == EXIT_DONE ? rc : code;
    }
    return code;
}

/* ---- status ---- */

struct rollout_watch {
    struct rctl *r;
    const struct kind *kind;
    const char *name;
    char last[ROLLOUT_TEXT];
    char failure[ROLLOUT_TEXT]; /* told already */
    int64_t revision;           /* --revision; 0 = any */
    bool once;
    int code;
};

static bool rollout_event(enum api_event type, const struct object *o, uint64_t revision, void *data)
{
    (void)revision;
    struct rollout_watch *w = data;
    char text[ROLLOUT_TEXT];
    if (type == API_SYNCED) {
        return true;
    }
    if (type == API_DELETED) {
        rctl_note(w->r, "error: %s \"%s\" was deleted meanwhile", w->kind->singular, w->name);
        w->code = EXIT_NOT_FOUND;
        return false;
    }
    bool over = rollout_kind_of(o->kind)->state(o, w->revision, text, sizeof text, &w->code);
    if (w->code != EXIT_DONE) {
        rctl_note(w->r, "error: %s", text);
    } else if (strcmp(text, w->last) != 0) {
        fprintf(w->r->out, "%s\n", text);
        fflush(w->r->out);
        memcpy(w->last, text, sizeof(text));
    }
    struct str why = rollout_failure(o);
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
    struct rollout_watch w = {.r = r, .kind = o->kind, .once = !opt_flag(r, "watch")};
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
    .usage = ROLLOUT_NAMES "... | TYPE -l SELECTOR [--timeout DURATION]",
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
    int64_t a = rollout_revision(*(struct object *const *)x), b = rollout_revision(*(struct object *const *)y);
    return (a > b) - (a < b);
}

/* The states that it has had, by revision: ReplicaSets or ControllerRevisions. */
static int list_revisions(struct rctl *r, const struct object *o, struct api_list *out, struct error *err)
{
    struct api_list all = {0};
    struct api_list_query q = {.kind = kind_by_id(rollout_kind_of(o->kind)->revisions), .ns = cstr(r, o->ns)};
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
        if (rollout_revision(list->items[i]) == revision) {
            return list->items[i];
        }
    }
    return NULL;
}

/* "deploy" */
static const char *short_name(const struct kind *k)
{
    return *k->short_names != '\0' ? k->short_names : k->singular;
}

static int no_revision(struct rctl *r, const struct object *o, int64_t revision)
{
    struct error err = {0};
    error_set(&err, ERR_NOT_FOUND,
              "unable to find revision %" PRId64 " of %s \"%.*s\"; \"rctl rollout history "
              "%s/%.*s\" lists them",
              revision, o->kind->singular, STR_ARG(o->name), short_name(o->kind), STR_ARG(o->name));
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
        cells[2 * i + 2] = arena_printf(&r->arena, "%" PRId64, rollout_revision(list->items[i]));
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
        describe_pod_template(&out, mp_path(object_mp(rs), rollout_kind_of(o->kind)->template), 1);
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
    .usage = ROLLOUT_NAMES " [--revision N]",
    .summary = "The revisions of a Deployment, DaemonSet or StatefulSet",
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
        error_set(&err, ERR_NOT_FOUND, "no rollout history found for %s \"%.*s\"", o->kind->singular, STR_ARG(o->name));
        return rctl_fail(r, &err);
    }
    const struct object *rs = to == 0 ? list.items[list.count - 2] : find_revision(&list, to);
    if (rs == NULL) {
        return no_revision(r, o, to);
    }
    struct value *template = rollout_template(&r->arena, o->kind, rs);
    if (!value_is_map(template)) {
        return no_revision(r, o, rollout_revision(rs));
    }
    if (kind_equal(o->kind, "spec.template", template, value_path(object_to_value(&r->arena, o), "spec.template"))) {
        return common_print_object(
            r, o,
            arena_printf(&r->arena, "skipped rollback (current template already matches revision %" PRId64 ")",
                         rollout_revision(rs)),
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
    .usage = ROLLOUT_NAMES " [--to-revision N]",
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

static int patch_one(struct rctl *r, const struct object *o, struct value *patch, const char *verb)
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
    if (!rollout_kind_of(o->kind)->can_pause) {
        struct error err = {0};
        error_set(&err, ERR_INVALID, "%s.apps \"%.*s\" %s is not supported", o->kind->plural, STR_ARG(o->name),
                  paused ? "pausing" : "resuming");
        return rctl_fail(r, &err);
    }
    if (mp_bool(mp_path(object_mp(o), "spec.paused"), false) == paused) {
        struct error err = {0};
        error_set(&err, ERR_INVALID, "deployments.apps \"%.*s\" is %s", STR_ARG(o->name),
                  paused ? "already paused" : "not paused");
        return rctl_fail(r, &err);
    }
    struct value *patch = value_map(&r->arena);
    value_set(&r->arena, value_ensure_map(&r->arena, patch, "spec"), "paused",
              paused ? value_bool(&r->arena, true) : value_null(&r->arena));
    return patch_one(r, o, patch, paused ? "paused" : "resumed");
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
    return patch_one(r, o, patch, "restarted");
}

static int run_restart(struct rctl *r)
{
    return for_each(r, restart_of);
}

#define PLAIN_COMMAND(var, title, function, names, text, lines)                                                        \
    static const struct command var = {.name = title,                                                                  \
                                       .usage = names,                                                                 \
                                       .summary = text,                                                                \
                                       .examples = lines,                                                              \
                                       .options = plain_options,                                                       \
                                       .options_count = ARRAY_SIZE(plain_options),                                     \
                                       .run = function}
PLAIN_COMMAND(rollout_pause, "pause", run_pause, "deploy/NAME... | deploy -l SELECTOR",
              "Hold a rollout: changes of the template wait",
              "  rctl rollout pause deploy/hello\n"
              "  rctl set image deploy/hello hello=hello:2.0\n"
              "  rctl rollout resume deploy/hello\n");
PLAIN_COMMAND(rollout_resume, "resume", run_resume, "deploy/NAME... | deploy -l SELECTOR", "Let a rollout go on",
              "  rctl rollout resume deploy/hello\n"
              "  rctl rollout status deploy/hello\n");
PLAIN_COMMAND(rollout_restart, "restart", run_restart, ROLLOUT_NAMES "... | TYPE -l SELECTOR",
              "Replace all pods, one by one, without changing anything",
              "  rctl rollout restart deploy/hello\n"
              "  rctl rollout status deploy/hello\n");

static const struct command *const rollout_subs[] = {&rollout_status, &rollout_history, &rollout_undo, &rollout_pause,
                                                     &rollout_resume, &rollout_restart, NULL};
const struct command command_rollout = {
    .name = "rollout",
    .usage = "status|history|undo|pause|resume|restart " ROLLOUT_NAMES,
    .summary = "Follow and steer the rollout of a Deployment, DaemonSet or StatefulSet",
    .examples = "  rctl rollout status deploy/hello\n"
                "  rctl rollout history deploy/hello\n"
                "  rctl rollout undo deploy/hello\n",
    .subs = rollout_subs,
};

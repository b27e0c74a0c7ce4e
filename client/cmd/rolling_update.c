/* rctl rolling-update: exchanges the pods of a ReplicationController for those of another one, pod by pod, from here.
 * What came before Deployments, for old tutorials. Source: kubectl rolling-update (until v1.17).
 *
 * Both controllers must not select each other's pods. With --image the new one is a copy of the old one, and a label
 * ("deployment", --deployment-label-key) is put into the selectors of both: into the old one's template first, then on
 * its pods, then into its selector, so that no pod is let go on the way. With -f the manifest must say another value of
 * a key of the selector.
 *
 * What is half done is gone on with by the same command, or taken back by --rollback: each controller bears how many
 * pods there are to be in the end, the old one the name of its successor. */
#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

#include "client/cmd/common.h"
#include "proto/text/text.h"

#define DESIRED  "kubectl.kubernetes.io/desired-replicas"
#define ORIGINAL "kubectl.kubernetes.io/original-replicas"
#define NEXT     "kubectl.kubernetes.io/next-controller-id"

static const struct option_row options[] = {
    {"image", 0, OPTION_VALUE, NULL, NULL, "IMAGE", "the new image; the rest is a copy of the old controller"},
    {"container", 0, OPTION_VALUE, NULL, NULL, "NAME", "of this container, if there are several"},
    {"filename", 'f', OPTION_REPEAT, NULL, NULL, "FILE", "manifest of the new controller"},
    {"rollback", 0, OPTION_FLAG, NULL, NULL, NULL, "take back an update that was broken off"},
    {"update-period", 0, OPTION_VALUE, "0s", NULL, "DURATION",
     "wait so long between two pods, when the new one is Ready"},
    {"timeout", 0, OPTION_VALUE, "5m0s", NULL, "DURATION", "give up if a pod is not Ready after so long"},
    {"poll-interval", 0, OPTION_VALUE, "3s", NULL, "DURATION", "taken for the sake of scripts: pods are watched"},
    {"deployment-label-key", 0, OPTION_VALUE, "deployment", NULL, "KEY", "the label that tells both controllers apart"},
    OPTION_ROW_DRY_RUN,
    OPTION_ROW_OUTPUT,
};

struct rolling {
    struct rctl *r;
    const struct kind *kind;
    const char *ns, *from, *to; /* names of the controllers */
    bool rename;                /* the new one gets the old one's name in the end */
    int64_t desired, from_now, to_now;
    int64_t timeout_ms, period_ms;
};

/* ---- One controller ---- */

static int64_t replicas_of(const struct object *o)
{
    return mp_int(mp_get(object_spec(o), "replicas"), 1);
}

static int64_t noted(const struct object *o, const char *key, int64_t fallback)
{
    int64_t n;
    return str_to_int64(object_annotation(o, key), &n) && n >= 0 && n <= INT32_MAX ? n : fallback;
}

static int get(struct rolling *u, const char *name, struct object **out, struct error *err)
{
    return api_get(u->r->api, u->kind, u->ns, name, false, out, err);
}

static int patch(struct rolling *u, const struct kind *k, const char *name, struct value *doc, struct error *err)
{
    CLEANUP_OBJECT struct object *after = NULL;
    return common_patch(u->r, k, u->ns, name, "merge", doc, "", DRY_RUN_NONE, &after, NULL, err);
}

static int note(struct rolling *u, const char *name, const char *key, struct value *v, struct error *err)
{
    struct arena *a = &u->r->arena;
    struct value *doc = value_map(a);
    value_set(a, value_ensure_map(a, value_ensure_map(a, doc, "metadata"), "annotations"), key, v);
    return patch(u, u->kind, name, doc, err);
}

struct waiting {
    bool up; /* for pods that are Ready; else until there are no more */
    int64_t replicas, generation;
    bool gone;
};

static bool counted(enum api_event type, const struct object *o, uint64_t revision, void *data)
{
    struct waiting *w = data;
    (void)revision;
    if (type == API_SYNCED) {
        return true;
    }
    w->gone = type == API_DELETED;
    struct mp status = object_status(o);
    bool reached = w->up ? mp_int(mp_get(status, "readyReplicas"), 0) >= w->replicas
                         : mp_int(mp_get(status, "replicas"), 0) <= w->replicas;
    return !w->gone && (mp_int(mp_get(status, "observedGeneration"), 0) < w->generation || !reached);
}

static int scale(struct rolling *u, const char *name, int64_t replicas, bool up, struct error *err)
{
    struct arena *a = &u->r->arena;
    struct value *doc = value_map(a);
    CLEANUP_OBJECT struct object *after = NULL;
    fprintf(u->r->out, "Scaling %s %s to %" PRId64 "\n", name, up ? "up" : "down", replicas);
    fflush(u->r->out);
    value_set(a, value_ensure_map(a, doc, "spec"), "replicas", value_int(a, replicas));
    int rc = common_patch(u->r, u->kind, u->ns, name, "merge", doc, "", DRY_RUN_NONE, &after, NULL, err);
    if (rc != 0) {
        return rc;
    }
    struct waiting w = {.up = up, .replicas = replicas, .generation = after->generation};
    const struct api_list_query q = {
        .kind = u->kind, .ns = u->ns, .field_selector = arena_printf(a, "metadata.name=%s", name)};
    rc = api_watch(u->r->api, &q, u->timeout_ms, counted, &w, err);
    if (rc == 0 && w.gone) {
        return error_set(err, ERR_NOT_FOUND, "replicationcontroller \"%s\" was deleted meanwhile", name);
    }
    if (rc == ERR_TIMEOUT) {
        error_wrap(err,
                   "%s has not %" PRId64 " pods that are Ready; the same command goes on, --rollback takes it back",
                   name, replicas);
    }
    return rc;
}

/* ---- From one to the other ---- */

static int roll(struct rolling *u, struct error *err)
{
    const bool never = false;
    fprintf(u->r->out,
            "Scaling up %s from %" PRId64 " to %" PRId64 ", scaling down %s from %" PRId64 " to 0 (keep %" PRId64
            " pods available, don't exceed %" PRId64 " pods)\n",
            u->to, u->to_now, u->desired, u->from, u->from_now, u->desired, u->desired + 1);
    int rc = 0;
    for (bool first = true; rc == 0 && (u->to_now < u->desired || u->from_now > 0); first = false) {
        if (!first && u->period_ms > 0) {
            api_run(u->r->api, &never, u->period_ms);
        }
        if (u->to_now < u->desired) {
            rc = scale(u, u->to, ++u->to_now, true, err);
        }
        if (rc == 0 && u->from_now > 0 && (u->from_now + u->to_now > u->desired || u->to_now >= u->desired)) {
            rc = scale(u, u->from, --u->from_now, false, err);
        }
    }
    return rc;
}

static int remove_controller(struct rolling *u, const char *name, const char *cascade, struct error *err)
{
    CLEANUP_OBJECT struct object *o = NULL, *gone = NULL;
    bool is_gone = false;
    const struct delete_options d = {.grace_s = -1, .cascade = cascade};
    int rc = get(u, name, &o, err);
    rc = rc == 0 ? common_delete(u->r, u->kind, u->ns, name, &d, &gone, &is_gone, err) : rc;
    return rc == 0 && !is_gone ? common_wait_gone(u->r, u->kind, u->ns, name, o->uid, u->timeout_ms, err) : rc;
}

/* The document of a controller as it is to be made anew. */
static struct value *document_of(struct rolling *u, const struct object *o, const char *name)
{
    struct arena *a = &u->r->arena;
    struct value *doc = object_to_value(a, o), *was = value_get(doc, "metadata"), *meta = value_map(a);
    static const char *const kept[] = {"namespace", "labels", "annotations"};
    for (unsigned i = 0; i < ARRAY_SIZE(kept); i++) {
        if (value_get(was, kept[i]) != NULL) {
            value_set(a, meta, kept[i], value_get(was, kept[i]));
        }
    }
    struct value *annotations = value_ensure_map(a, meta, "annotations");
    value_remove(annotations, DESIRED);
    value_remove(annotations, ORIGINAL);
    value_remove(annotations, NEXT);
    value_remove(annotations, "kubectl.kubernetes.io/last-applied-configuration");
    value_set(a, meta, "name", value_cstr(a, name));
    value_set(a, doc, "metadata", meta);
    value_remove(doc, "status");
    return doc;
}

/* The pods stay: who bears the name then adopts them. */
static int rename_new(struct rolling *u, struct error *err)
{
    CLEANUP_OBJECT struct object *o = NULL, *made = NULL;
    int rc = get(u, u->to, &o, err);
    if (rc != 0) {
        return rc;
    }
    fprintf(u->r->out, "Renaming %s to %s\n", u->to, u->from);
    struct value *doc = document_of(u, o, u->from);
    rc = remove_controller(u, u->to, "Orphan", err);
    rc = rc == 0 ? common_create(u->r, doc, DRY_RUN_NONE, &made, err) : rc;
    u->to = u->from;
    return rc;
}

static int finish(struct rolling *u, struct error *err)
{
    fprintf(u->r->out, "Update succeeded. Deleting %s\n", u->from);
    int rc = remove_controller(u, u->from, NULL, err);
    if (rc == 0 && u->rename) {
        rc = rename_new(u, err);
    } else if (rc == 0) {
        rc = note(u, u->to, DESIRED, value_null(&u->r->arena), err);
    }
    return rc;
}

/* ---- The new controller ---- */

static const char *hash_of(struct rctl *r, const struct value *spec)
{
    CLEANUP_BUF struct buf json = BUF_INIT;
    json_write_canonical(&json, spec);
    return arena_printf(&r->arena, "%016" PRIx64, (uint64_t)XXH64(json.data, json.size, 0));
}

/* The old one's pods get the label before its selector asks for it. */
static int label_old(struct rolling *u, const struct object *old, const char *key, struct error *err)
{
    struct arena *a = &u->r->arena;
    struct value *spec = value_get(object_to_value(a, old), "spec");
    const char *hash = hash_of(u->r, value_get(spec, "template"));
    if (value_get(value_get(spec, "selector"), key) != NULL) {
        return 0;
    }
    struct value *label = value_map(a), *on_template = value_map(a), *on_pod = value_map(a), *asked = value_map(a);
    value_set(a, label, key, value_cstr(a, hash));
    value_set(
        a, value_ensure_map(a, value_ensure_map(a, value_ensure_map(a, on_template, "spec"), "template"), "metadata"),
        "labels", label);
    value_set(a, value_ensure_map(a, on_pod, "metadata"), "labels", label);
    value_set(a, value_ensure_map(a, asked, "spec"), "selector", label);
    int rc = patch(u, u->kind, u->from, on_template, err);
    if (rc != 0) {
        return rc;
    }
    CLEANUP_LIST struct api_list pods = {0};
    const char *selector = resource_selector(a, old, err);
    const struct api_list_query q = {.kind = kind_by_id(KIND_POD), .ns = u->ns, .label_selector = selector};
    rc = selector == NULL ? err->code : api_list(u->r->api, &q, &pods, err);
    for (unsigned i = 0; i < pods.count && rc == 0; i++) {
        if (str_eq(pods.items[i]->owner_uid, old->uid)) {
            rc = patch(u, q.kind, common_cstr(u->r, pods.items[i]->name), on_pod, err);
            rc = rc == ERR_NOT_FOUND ? 0 : rc;
        }
    }
    return rc == 0 ? patch(u, u->kind, u->from, asked, err) : rc;
}

static int put_image(struct rolling *u, struct value *spec, struct error *err)
{
    struct rctl *r = u->r;
    struct value *containers = value_path(spec, "template.spec.containers"), *c = value_item(containers, 0);
    const char *name = opt(r, "container");
    if (name != NULL) {
        c = value_find(containers, "name", str_of(name));
    }
    if (c == NULL || (name == NULL && value_count(containers) > 1)) {
        return error_set(err, ERR_USAGE,
                         name == NULL ? "%s has several containers; name one: --container=NAME"
                                      : "%s has no container \"%s\"",
                         u->from, name);
    }
    value_set(&r->arena, c, "image", value_cstr(&r->arena, opt(r, "image")));
    return 0;
}

/* A copy of the old one with another image, which the label tells apart. */
static int document_by_image(struct rolling *u, const struct object *old, struct value **out, struct error *err)
{
    struct arena *a = &u->r->arena;
    const char *key = opt(u->r, "deployment-label-key");
    struct value *doc = document_of(u, old, "?"), *spec = value_get(doc, "spec");
    int rc = put_image(u, spec, err);
    if (rc != 0) {
        return rc;
    }
    struct value *template = value_ensure_map(a, spec, "template");
    struct value *labels = value_ensure_map(a, value_ensure_map(a, template, "metadata"), "labels");
    value_remove(labels, key); /* the same hash before and after the old one was labelled */
    const char *hash = hash_of(u->r, template);
    if (str_is(value_to_str(value_get(value_get(spec, "selector"), key)), hash)) {
        return error_set(err, ERR_INVALID, "%s runs image %s already", u->from, opt(u->r, "image"));
    }
    if (u->to == NULL) {
        u->to = arena_printf(a, "%s-%s", u->from, hash);
        u->rename = true;
    }
    value_set(a, value_get(doc, "metadata"), "name", value_cstr(a, u->to));
    value_set(a, value_ensure_map(a, spec, "selector"), key, value_cstr(a, hash));
    value_set(a, labels, key, value_cstr(a, hash));
    *out = doc;
    return 0;
}

static int document_by_file(struct rolling *u, const struct object *old, struct value **out, struct error *err)
{
    struct manifest m = {0};
    u->r->args.words_count = 0; /* they name the controllers, and are read */
    int rc = common_manifests(u->r, &m, err);
    if (rc != 0) {
        return rc;
    }
    if (m.count != 1 || m.items[0].kind != u->kind) {
        return error_set(err, ERR_USAGE, "-f names %u objects; it must be one ReplicationController", m.count);
    }
    if (strcmp(m.items[0].name, u->from) == 0 || (u->to != NULL && strcmp(m.items[0].name, u->to) != 0)) {
        return error_set(err, ERR_USAGE, "the ReplicationController of -f is called %s: it must have a name of its own",
                         m.items[0].name);
    }
    struct value *doc = m.items[0].doc, *selector = value_path(doc, "spec.selector");
    selector = value_count(selector) > 0 ? selector : value_path(doc, "spec.template.metadata.labels");
    bool apart = false;
    for (struct mp_iter it = mp_iter(mp_get(object_spec(old), "selector")); mp_next(&it);) {
        const struct value *v = value_get_str_key(selector, it.key);
        apart |= v != NULL && !str_eq(value_to_str(v), mp_str(it.value));
    }
    if (!apart) {
        return error_set(err, ERR_INVALID,
                         "%s and %s would take each other's pods: spec.selector must have a key of which both say "
                         "another value",
                         u->from, m.items[0].name);
    }
    u->to = m.items[0].name;
    *out = doc;
    return 0;
}

static int make_new(struct rolling *u, struct value *doc, struct error *err)
{
    struct arena *a = &u->r->arena;
    CLEANUP_OBJECT struct object *made = NULL;
    struct value *spec = value_ensure_map(a, doc, "spec"),
                 *annotations = value_ensure_map(a, value_ensure_map(a, doc, "metadata"), "annotations");
    value_set(a, annotations, DESIRED, value_strf(a, "%" PRId64, u->desired));
    value_set(a, spec, "replicas", value_int(a, 0));
    int rc = common_create(u->r, doc, DRY_RUN_NONE, &made, err);
    if (rc == 0) {
        fprintf(u->r->out, "Created %s\n", u->to);
    }
    return rc;
}

/* ---- The command ---- */

static int begin(struct rolling *u, const struct object *old, enum dry_run dry, bool *over, struct error *err)
{
    struct rctl *r = u->r;
    struct value *doc = NULL;
    bool by_file = args_given(&r->args, "filename");
    CLEANUP_OBJECT struct object *there = NULL;
    int rc = by_file ? document_by_file(u, old, &doc, err) : document_by_image(u, old, &doc, err);
    if (rc != 0) {
        return rc;
    }
    u->desired =
        by_file ? value_path_int(doc, "spec.replicas", replicas_of(old)) : noted(old, ORIGINAL, replicas_of(old));
    if (dry != DRY_RUN_NONE) {
        *over = true;
        return common_print_value(r, u->kind, doc, "rolling updated", dry) == EXIT_DONE ? 0 : ERR_INVALID;
    }
    rc = get(u, u->to, &there, NULL);
    if (rc == 0 && !str_is(object_annotation(old, NEXT), u->to)) {
        return error_set(err, ERR_EXISTS, "replicationcontroller \"%s\" is there already, and is no update of %s",
                         u->to, u->from);
    }
    if (rc == 0) {
        fprintf(r->out, "Continuing update with existing controller %s.\n", u->to);
        u->desired = noted(there, DESIRED, u->desired);
        u->to_now = replicas_of(there);
        return 0;
    }
    rc =
        rc == ERR_NOT_FOUND ? note(u, u->from, ORIGINAL, value_strf(&r->arena, "%" PRId64, replicas_of(old)), err) : rc;
    rc = rc == 0 ? note(u, u->from, NEXT, value_cstr(&r->arena, u->to), err) : rc;
    rc = rc == 0 && !by_file ? label_old(u, old, opt(r, "deployment-label-key"), err) : rc;
    return rc == 0 ? make_new(u, doc, err) : rc;
}

static int forget(struct rolling *u, const char *name, struct error *err)
{
    int rc = note(u, name, ORIGINAL, value_null(&u->r->arena), err);
    return rc == 0 ? note(u, name, NEXT, value_null(&u->r->arena), err) : rc;
}

/* The new one was never made, or somebody has deleted it: the old one gets back what it had. */
static int take_back_alone(struct rolling *u, const struct object *old, const char *name, struct error *err)
{
    int64_t now = replicas_of(old), before = noted(old, ORIGINAL, now);
    fprintf(u->r->out, "There is no %s; %s goes on alone\n", name, u->from);
    u->to = u->from;
    int rc = before > now ? scale(u, u->from, before, true, err) : 0;
    return rc == 0 ? forget(u, u->from, err) : rc;
}

/* Both change places. */
static int take_back(struct rolling *u, const struct object *old, struct error *err)
{
    CLEANUP_OBJECT struct object *new = NULL;
    const char *name = u->to != NULL ? u->to : common_cstr(u->r, object_annotation(old, NEXT));
    if (*name == '\0') {
        return error_set(err, ERR_NOT_FOUND, "%s has no update that was begun: nothing to take back", u->from);
    }
    int rc = get(u, name, &new, err);
    if (rc == ERR_NOT_FOUND && str_is(object_annotation(old, NEXT), name)) {
        return take_back_alone(u, old, name, err);
    }
    if (rc != 0) {
        return rc;
    }
    u->desired = noted(old, ORIGINAL, noted(new, DESIRED, replicas_of(old)));
    u->to = u->from;
    u->from = name;
    u->to_now = replicas_of(old);
    u->from_now = replicas_of(new);
    u->rename = false;
    rc = roll(u, err);
    rc = rc == 0 ? finish(u, err) : rc;
    return rc == 0 ? forget(u, u->to, err) : rc;
}

static int update(struct rolling *u, enum dry_run dry, bool *over, struct error *err)
{
    CLEANUP_OBJECT struct object *old = NULL;
    int rc = get(u, u->from, &old, err);
    if (rc != 0) {
        return rc;
    }
    if (opt_flag(u->r, "rollback")) {
        return take_back(u, old, err);
    }
    u->from_now = replicas_of(old);
    rc = begin(u, old, dry, over, err);
    if (rc != 0 || *over) {
        return rc;
    }
    rc = roll(u, err);
    return rc == 0 ? finish(u, err) : rc;
}

static int check(struct rctl *r, struct rolling *u, enum dry_run *dry, struct error *err)
{
    bool by_file = args_given(&r->args, "filename"), back = opt_flag(r, "rollback");
    if (r->args.words_count == 0 || r->args.words_count > 2) {
        return error_set(err, ERR_USAGE, "which controllers? OLD NEW --image=IMAGE, or OLD -f FILE");
    }
    u->from = r->args.words[0];
    u->to = r->args.words_count > 1 ? r->args.words[1] : NULL;
    if (u->to != NULL && strcmp(u->from, u->to) == 0) {
        return error_set(err, ERR_USAGE, "%s cannot take its own place: give the new controller another name, or none",
                         u->from);
    }
    if ((opt(r, "image") != NULL) + by_file + back != 1) {
        return error_set(err, ERR_USAGE, "one of --image=IMAGE, -f FILE and --rollback is needed");
    }
    if (opt(r, "image") != NULL && *opt(r, "image") == '\0') {
        return error_set(err, ERR_USAGE, "--image is empty");
    }
    if (opt(r, "image") != NULL && common_image("--image", opt(r, "image"), err) != 0) {
        return err->code;
    }
    int rc = args_duration_ms("timeout", opt(r, "timeout"), &u->timeout_ms, err);
    rc = rc == 0 ? args_duration_ms("update-period", opt(r, "update-period"), &u->period_ms, err) : rc;
    return rc == 0 ? common_dry_run(r, dry, err) : rc;
}

static int run_rolling_update(struct rctl *r)
{
    struct error err = {0};
    enum dry_run dry = DRY_RUN_NONE;
    bool over = false;
    struct rolling u = {.r = r, .kind = kind_by_id(KIND_REPLICATIONCONTROLLER)};
    if (check(r, &u, &dry, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    u.ns = rctl_namespace(r);
    rctl_note(r, "rolling-update is of old days: a Deployment does the same, and goes on when nobody watches");
    if (update(&u, dry, &over, &err) != 0) {
        return err.code == ERR_TIMEOUT ? rctl_fail_here(r, &err) : common_fail(r, &err);
    }
    if (over) {
        return EXIT_DONE;
    }
    CLEANUP_OBJECT struct object *o = NULL;
    if (get(&u, u.to, &o, &err) != 0) {
        return rctl_fail(r, &err);
    }
    return common_print_object(r, o, "rolling updated", DRY_RUN_NONE);
}

const struct command command_rolling_update = {
    .name = "rolling-update",
    .usage = "OLD [NEW] --image=IMAGE | OLD -f FILE | OLD [NEW] --rollback",
    .summary = "Exchange the pods of a ReplicationController, one by one (old)",
    .examples = "  rctl rolling-update web-v1 web-v2 --image=web:2.0\n"
                "  # the new controller gets the old one's name in the end\n"
                "  rctl rolling-update web --image=web:2.0\n"
                "  # what was broken off\n"
                "  rctl rolling-update web-v1 web-v2 --rollback\n",
    .options = options,
    .options_count = ARRAY_SIZE(options),
    .run = run_rolling_update,
};

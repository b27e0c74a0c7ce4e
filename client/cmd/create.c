/* rctl create: objects from manifests, and the common ones from the command line. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd/create.h"
#include "client/cmd/editor.h"
#include "client/cmd/service.h"
#include "proto/text/text.h"

int create_made(struct rctl *r, struct value *doc)
{
    return create_made_as(r, doc, "created");
}

int create_made_as(struct rctl *r, struct value *doc, const char *verb)
{
    struct error err = {0};
    enum dry_run dry;
    if (common_dry_run(r, &dry, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    const struct kind *k = kind_of_document(&r->arena, doc, &err);
    if (k == NULL || kind_check_fields(k, &r->arena, doc, 0, &err) != 0) {
        return rctl_fail(r, &err);
    }
    common_record(r, doc, false);
    doc = opt_flag(r, "save-config") ? common_save_config(r, doc) : doc;
    if (dry == DRY_RUN_CLIENT) {
        return common_print_value(r, k, doc, verb, dry);
    }
    if (rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    CLEANUP_OBJECT struct object *o = NULL;
    if (common_create(r, doc, dry, &o, &err) != 0) {
        return rctl_fail(r, &err);
    }
    return common_print_object(r, o, verb, dry);
}

struct value *create_document(struct rctl *r, const char *api_version, const char *kind, const char *name,
                              bool namespaced)
{
    struct arena *a = &r->arena;
    struct value *doc = value_map(a);
    value_set(a, doc, "apiVersion", value_cstr(a, api_version));
    value_set(a, doc, "kind", value_cstr(a, kind));
    struct value *meta = value_ensure_map(a, doc, "metadata");
    value_set(a, meta, "name", value_cstr(a, name));
    enum dry_run dry;
    struct error ignored;
    bool local = common_dry_run(r, &dry, &ignored) == 0 && dry == DRY_RUN_CLIENT && opt(r, "namespace") == NULL;
    if (namespaced && !local) { /* what is only printed goes wherever it is applied */
        value_set(a, meta, "namespace", value_cstr(a, rctl_namespace(r)));
    }
    return doc;
}

#define KNOWN                                                                                                          \
    "configmap, secret, namespace, deployment, job, cronjob, quota, service, ingress, poddisruptionbudget, "           \
    "priorityclass, serviceaccount, token, role, clusterrole, rolebinding and clusterrolebinding"

/* ---- create -f ---- */

static int unknown_word(struct rctl *r, const char *word)
{
    const struct kind *k = kind_by_any_name(str_of(word));
    if (k != NULL && k->id == KIND_HORIZONTALPODAUTOSCALER) {
        return rctl_usage(r, "autoscale makes one: rctl autoscale TYPE/NAME --max=N --cpu=80%%");
    }
    return rctl_usage(
        r, "create from the command line knows " KNOWN ", not \"%s\"; everything else comes from a manifest: -f FILE",
        word);
}

static int create_item(struct rctl *r, const struct manifest_item *item, enum dry_run dry, struct error *err)
{
    struct value *doc = opt_flag(r, "save-config") ? common_save_config(r, item->doc) : item->doc;
    if (dry == DRY_RUN_CLIENT) {
        struct manifest_item shown = *item;
        shown.doc = doc;
        return common_print_item(r, &shown, "created") == EXIT_DONE ? 0 : ERR_INVALID;
    }
    CLEANUP_OBJECT struct object *o = NULL;
    int rc = common_create(r, doc, dry, &o, err);
    if (rc == 0) {
        common_print_object(r, o, "created", dry);
    }
    return rc;
}

static int create_all(struct rctl *r, const struct manifest *m, enum dry_run dry)
{
    int code = EXIT_DONE;
    for (unsigned i = 0; i < m->count; i++) {
        struct error err = {0};
        if (create_item(r, &m->items[i], dry, &err) == 0) {
            continue;
        }
        if (m->count > 1 && !str_starts(str_of(err.message), str_of(m->items[i].file))) {
            error_wrap(&err, "%s", m->items[i].file);
        }
        int one = rctl_fail(r, &err);
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

/* ---- create --edit ---- */

struct edited {
    enum dry_run dry;
    unsigned
        created; /* documents of the text that are there already: a refusal of the next one does not make them twice */
};

static int save_new(struct rctl *r, const char *text, const char **again, int *code, void *data, struct error *err)
{
    (void)again;
    struct edited *e = data;
    struct manifest m = {0};
    struct manifest_options mo = {
        .ns = rctl_namespace(r), .ns_given = opt(r, "namespace") != NULL, .lenient = common_lenient(r)};
    int rc = manifest_read_text(&r->arena, str_of(text), "edited", &mo, &m, err);
    if (rc == 0 && m.count == 0) {
        rc = error_set(err, ERR_INVALID, "no objects in it");
    }
    for (unsigned i = e->created; i < m.count && rc == 0; i++) {
        common_record(r, m.items[i].doc, false);
        rc = create_item(r, &m.items[i], e->dry, err);
        e->created += rc == 0;
    }
    *code = EXIT_DONE;
    return rc;
}

static int create_edited(struct rctl *r, const struct manifest *m, enum dry_run dry)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    for (unsigned i = 0; i < m->count; i++) {
        struct value *doc = value_copy(&r->arena, m->items[i].doc);
        if (m->items[i].ns_filled && opt(r, "namespace") == NULL) {
            value_remove(value_get(doc, "metadata"), "namespace");
        }
        buf_puts(&text, i > 0 ? "---\n" : "");
        yaml_write(&text, doc);
    }
    struct edited e = {.dry = dry};
    return editor_edit(r, "These objects will be created when you save.", "yaml", buf_cstr(&text), true, save_new, &e);
}

static int run_create(struct rctl *r)
{
    struct error err = {0};
    struct manifest m = {0};
    enum dry_run dry;
    if (!common_files_given(r) && r->args.words_count > 0) {
        return unknown_word(r, r->args.words[0]);
    }
    if (common_dry_run(r, &dry, &err) != 0 || common_manifests(r, &m, &err) != 0) {
        return common_fail(r, &err);
    }
    if (m.count == 0) {
        error_set(&err, ERR_NOT_FOUND, "no objects passed to create: -l %s selects none of them", opt(r, "selector"));
        return rctl_fail_here(r, &err);
    }
    if (dry != DRY_RUN_CLIENT && rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    return opt_flag(r, "edit") ? create_edited(r, &m, dry) : create_all(r, &m, dry);
}

/* ---- namespace ---- */

static const struct option_row plain_options[] = {OPTION_ROWS_CREATE};

static int run_namespace(struct rctl *r)
{
    if (r->args.words_count != 1) {
        return rctl_usage(r, "exactly one name is needed");
    }
    return create_made(r, create_document(r, "v1", "Namespace", r->args.words[0], false));
}

static const struct command create_namespace = {
    .name = "namespace",
    .alias = "ns",
    .usage = "NAME",
    .summary = "Create a namespace",
    .examples = "  rctl create namespace shop\n"
                "  rctl create ns shop --dry-run=client -o yaml\n"
                "  rctl -n shop get pods\n",
    .options = plain_options,
    .options_count = ARRAY_SIZE(plain_options),
    .run = run_namespace,
};

/* ---- deployment ---- */

static const struct option_row deployment_options[] = {
    {"image", 0, OPTION_REPEAT, NULL, NULL, "IMAGE", "image of a container; once per container"},
    {"replicas", 'r', OPTION_VALUE, "1", NULL, "N", "how many pods"},
    {"port", 0, OPTION_VALUE, NULL, NULL, "PORT", "port that the container listens on"},
    OPTION_ROWS_CREATE,
};

/* "registry/team/My_nginx:1.22" -> "my-nginx"; the second of a name becomes NAME-2. */
static struct value *container_name(struct arena *a, const struct value *others, const char *image)
{
    const char *slash = strrchr(image, '/');
    const char *base = slash == NULL ? image : slash + 1;
    char *name = arena_strndup(a, base, MIN(strcspn(base, ":@"), 60u));
    for (char *p = name; *p != '\0'; p++) {
        *p = isalnum((unsigned char)*p) ? (char)tolower((unsigned char)*p) : '-';
    }
    const char *unique = name;
    for (unsigned n = 2; value_find(others, "name", str_of(unique)) != NULL; n++) {
        unique = arena_printf(a, "%s-%u", name, n);
    }
    return value_cstr(a, unique);
}

static struct value *app_labels(struct arena *a, const char *name)
{
    struct value *labels = value_map(a);
    value_set(a, labels, "app", value_cstr(a, name));
    return labels;
}

void create_containers(struct rctl *r, struct value *pod_spec, int64_t port)
{
    struct arena *a = &r->arena;
    struct value *containers = value_ensure_list(a, pod_spec, "containers");
    for (unsigned i = 0; i < args_count(&r->args, "image"); i++) {
        const char *image = args_at(&r->args, "image", i);
        struct value *c = value_map(a);
        value_set(a, c, "name", container_name(a, containers, image));
        value_set(a, c, "image", value_cstr(a, image));
        if (port > 0 && i == 0) {
            struct value *p = value_map(a);
            value_set(a, p, "containerPort", value_int(a, port));
            value_append(a, value_ensure_list(a, c, "ports"), p);
        }
        for (unsigned w = r->args.dash; w < r->args.words_count && i == 0; w++) {
            value_append(a, value_ensure_list(a, c, "command"), value_cstr(a, r->args.words[w]));
        }
        value_append(a, containers, c);
    }
}

static int run_deployment(struct rctl *r)
{
    struct error err = {0};
    int64_t replicas, port = 0;
    if (r->args.dash != 1) {
        return rctl_usage(r, "exactly one name is needed");
    }
    if (args_count(&r->args, "image") == 0) {
        return rctl_usage(r, "which image? --image=IMAGE");
    }
    for (unsigned i = 0; i < args_count(&r->args, "image"); i++) {
        if (common_image("--image", args_at(&r->args, "image", i), &err) != 0) {
            return rctl_usage(r, "%s", err.message);
        }
    }
    if (args_count(&r->args, "image") > 1 && r->args.has_dash) {
        return rctl_usage(r, "a command goes with one --image");
    }
    if (args_int("replicas", opt(r, "replicas"), 0, INT32_MAX, &replicas, &err) != 0 ||
        (opt(r, "port") != NULL && args_int("port", opt(r, "port"), 1, 65535, &port, &err) != 0)) {
        return rctl_usage(r, "%s", err.message);
    }
    struct arena *a = &r->arena;
    const char *name = r->args.words[0];
    struct value *doc = create_document(r, "apps/v1", "Deployment", name, true);
    value_set(a, value_get(doc, "metadata"), "labels", app_labels(a, name));
    struct value *spec = value_ensure_map(a, doc, "spec");
    value_set(a, spec, "replicas", value_int(a, replicas));
    value_set(a, value_ensure_map(a, spec, "selector"), "matchLabels", app_labels(a, name));
    struct value *template = value_ensure_map(a, spec, "template");
    value_set(a, value_ensure_map(a, template, "metadata"), "labels", app_labels(a, name));
    create_containers(r, value_ensure_map(a, template, "spec"), port);
    return create_made(r, doc);
}

static const struct command create_deployment = {
    .name = "deployment",
    .alias = "deploy",
    .usage = "NAME --image=IMAGE [--replicas=N] [-- COMMAND ARG...]",
    .summary = "Create a Deployment of an image",
    .examples = "  rctl create deployment web --image=nginx:1.22 --replicas=3\n"
                "  # with a command of its own\n"
                "  rctl create deployment sleeper --image=busybox:1.35 -- sleep 3600\n"
                "  # a manifest to begin with\n"
                "  rctl create deployment web --image=nginx:1.22 --dry-run=client -o yaml > web.yaml\n",
    .options = deployment_options,
    .options_count = ARRAY_SIZE(deployment_options),
    .run = run_deployment,
};

static const struct option_row create_options[] = {
    OPTION_ROWS_FILES,
    OPTION_ROW_SELECTOR,
    {"edit", 0, OPTION_FLAG, NULL, NULL, NULL, "edit the objects before they are created"},
    OPTION_ROWS_CREATE,
};
static const struct command *const create_subs[] = {
    &create_configmap,     &create_secret,      &create_namespace,
    &create_deployment,    &create_service,     &create_job,
    &create_cronjob,       &create_budget,      &create_quota,
    &create_priorityclass, &create_account,     &create_role,
    &create_clusterrole,   &create_rolebinding, &create_clusterrolebinding,
    &create_token,         &create_ingress,     NULL};
const struct command command_create = {
    .name = "create",
    .usage =
        "-f FILE... | configmap NAME ... | secret generic|tls|docker-registry NAME ... | namespace NAME | "
        "deployment NAME ... | job NAME ... | cronjob NAME ... | service TYPE NAME ... | ingress NAME ... | "
        "poddisruptionbudget NAME ... | priorityclass NAME ... | quota NAME ... | serviceaccount NAME | "
        "token ACCOUNT ... | role NAME ... | clusterrole NAME ... | rolebinding NAME ... | clusterrolebinding NAME ...",
    .summary = "Create objects from manifests or from the command line",
    .examples = "  rctl create -f pod.yaml\n"
                "  # all manifests of a directory, checked by the cluster but not stored\n"
                "  rctl create -f examples/hello/ --dry-run=server\n"
                "  rctl create configmap nginx-conf --from-file=hello.conf\n",
    .options = create_options,
    .options_count = ARRAY_SIZE(create_options),
    .subs = create_subs,
    .run = run_create,
};

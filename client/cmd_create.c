/* rctl create: objects from manifests, and the common ones from the command line. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/common.h"
#include "client/keyfile.h"
#include "proto/text.h"

/* Checks a document made here, then creates or prints it. */
static int create_made(struct rctl *r, struct value *doc)
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
    if (dry == DRY_RUN_CLIENT) {
        return common_print_value(r, k, doc, "created", dry);
    }
    if (rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    CLEANUP_OBJECT struct object *o = NULL;
    if (common_create(r, doc, dry, &o, &err) != 0) {
        return rctl_fail(r, &err);
    }
    return common_print_object(r, o, "created", dry);
}

static struct value *new_document(struct rctl *r, const char *api_version, const char *kind, const char *name,
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

/* ---- create -f ---- */

static int run_create(struct rctl *r)
{
    struct error err = {0};
    struct manifest m = {0};
    enum dry_run dry;
    if (!args_given(&r->args, "filename") && r->args.words_count > 0) {
        return rctl_usage(r,
                          "create from the command line knows configmap, secret, namespace and deployment, not "
                          "\"%s\"; everything else comes from a manifest: -f FILE",
                          r->args.words[0]);
    }
    if (common_dry_run(r, &dry, &err) != 0) {
        return rctl_usage(r, "%s", err.message);
    }
    if (common_manifests(r, &m, &err) != 0) {
        return err.code == ERR_USAGE ? rctl_usage(r, "%s", err.message) : rctl_fail(r, &err);
    }
    if (dry != DRY_RUN_CLIENT && rctl_connect(r, &err) != 0) {
        return rctl_fail(r, &err);
    }
    int code = EXIT_DONE;
    for (unsigned i = 0; i < m.count; i++) {
        int one;
        CLEANUP_OBJECT struct object *o = NULL;
        if (dry == DRY_RUN_CLIENT) {
            one = common_print_item(r, &m.items[i], "created");
        } else if (common_create(r, m.items[i].doc, dry, &o, &err) != 0) {
            if (m.count > 1 && !str_starts(str_of(err.message), str_of(m.items[i].file))) {
                error_wrap(&err, "%s", m.items[i].file);
            }
            one = rctl_fail(r, &err);
        } else {
            one = common_print_object(r, o, "created", dry);
        }
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

/* ---- configmap, secret ---- */

/* Where keys go: text into `data`, other bytes into `binary` (a Secret takes all as base64 in `data`). */
struct data_target {
    struct rctl *r;
    struct value *doc;
    bool secret;
};

static int bad_key(const char *key, struct error *err)
{
    return error_set(
        err, ERR_USAGE,
        "\"%s\" cannot be a key: it must be letters, digits, '-', '_' and '.', at most 253, and not '.' or "
        "begin with '..'",
        key);
}

static int add_key(struct data_target *t, const char *key, struct str bytes, struct error *err)
{
    struct arena *a = &t->r->arena;
    bool text = !t->secret && keyfile_is_text(bytes);
    struct value *map = value_ensure_map(a, t->doc, t->secret || text ? "data" : "binaryData");
    if (value_get(value_get(t->doc, "data"), key) != NULL || value_get(value_get(t->doc, "binaryData"), key) != NULL) {
        return error_set(err, ERR_USAGE, "the key \"%s\" is given twice", key);
    }
    if (!name_is_config_key(str_of(key))) {
        return bad_key(key, err);
    }
    if (text) {
        value_set(a, map, key, value_str(a, bytes));
        return 0;
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    base64_write(&b, bytes.p, bytes.n);
    value_set(a, map, key, value_str(a, buf_str(&b)));
    return 0;
}

static int add_file(struct data_target *t, const char *key, const char *path, struct error *err)
{
    char *text;
    size_t size;
    int rc = manifest_slurp(path, OBJECT_SIZE_MAX, &text, &size, err);
    if (rc != 0) {
        return rc;
    }
    rc = add_key(t, key, (struct str){text, size}, err);
    free(text);
    return rc;
}

static int add_dir(struct data_target *t, const char *path, struct error *err)
{
    struct dirent **names;
    int n = scandir(path, &names, NULL, alphasort);
    if (n < 0) {
        return error_set(err, ERR_IO, "read directory %s", path);
    }
    int rc = 0;
    for (int i = 0; i < n; i++) {
        const char *child = arena_printf(&t->r->arena, "%s/%s", path, names[i]->d_name);
        const char *key = arena_strdup(&t->r->arena, names[i]->d_name);
        struct stat st;
        free(names[i]);
        if (rc == 0 && stat(child, &st) == 0 && S_ISREG(st.st_mode)) {
            rc = add_file(t, key, child, err);
        }
    }
    free(names);
    return rc;
}

/* --from-file=[KEY=]PATH */
static int add_from_file(struct data_target *t, const char *text, struct error *err)
{
    const char *eq = strchr(text, '=');
    struct stat st;
    if (eq == text || (eq != NULL && (eq[1] == '\0' || strchr(eq + 1, '=') != NULL))) {
        return error_set(err, ERR_USAGE, "--from-file is PATH or KEY=PATH, neither with a '=' in it, not \"%s\"", text);
    }
    if (eq == NULL && stat(text, &st) == 0 && S_ISDIR(st.st_mode)) {
        return add_dir(t, text, err);
    }
    const char *path = eq == NULL ? text : eq + 1;
    const char *slash = strrchr(path, '/');
    const char *key = eq != NULL      ? arena_strndup(&t->r->arena, text, (size_t)(eq - text))
                      : slash == NULL ? path
                                      : slash + 1;
    return add_file(t, key, path, err);
}

static int add_from_literal(struct data_target *t, const char *text, struct error *err)
{
    const char *eq = strchr(text, '=');
    if (eq == NULL || eq == text) {
        return error_set(err, ERR_USAGE, "--from-literal is KEY=VALUE, not \"%s\"", text);
    }
    return add_key(t, arena_strndup(&t->r->arena, text, (size_t)(eq - text)), str_of(eq + 1), err);
}

static int add_env_pair(struct str key, struct str value, void *data, struct error *err)
{
    struct data_target *t = data;
    return add_key(t, arena_strndup(&t->r->arena, key.p, key.n), value, err);
}

static int add_from_env(struct data_target *t, const char *path, struct error *err)
{
    char *text;
    size_t size;
    int rc = manifest_slurp(path, OBJECT_SIZE_MAX, &text, &size, err);
    if (rc != 0) {
        return rc;
    }
    rc = keyfile_env((struct str){text, size}, path, add_env_pair, t, err);
    free(text);
    return rc;
}

static int run_create_data(struct rctl *r, const char *name, bool secret)
{
    struct value *doc = new_document(r, "v1", secret ? "Secret" : "ConfigMap", name, true);
    struct data_target t = {r, doc, secret};
    struct error err = {0};
    int rc = 0;
    for (unsigned i = 0; i < r->args.values_count && rc == 0; i++) {
        const struct args_value *v = &r->args.values[i];
        if (strcmp(v->row->name, "from-file") == 0) {
            rc = add_from_file(&t, v->value, &err);
        } else if (strcmp(v->row->name, "from-literal") == 0) {
            rc = add_from_literal(&t, v->value, &err);
        } else if (strcmp(v->row->name, "from-env-file") == 0) {
            rc = add_from_env(&t, v->value, &err);
        }
    }
    if (rc != 0) {
        return err.code == ERR_USAGE ? rctl_usage(r, "%s", err.message) : rctl_fail(r, &err);
    }
    if (secret) {
        value_set(&r->arena, doc, "type", value_cstr(&r->arena, opt(r, "type")));
    }
    return create_made(r, doc);
}

static const struct option_row data_options[] = {
    {"from-file", 0, OPTION_REPEAT, NULL, NULL, "[KEY=]PATH", "a file, or all files of a directory"},
    {"from-literal", 0, OPTION_REPEAT, NULL, NULL, "KEY=VALUE", "a key and its value"},
    {"from-env-file", 0, OPTION_REPEAT, NULL, NULL, "PATH", "KEY=VALUE lines"},
    OPTION_ROW_DRY_RUN,
    OPTION_ROW_OUTPUT,
    {"type", 0, OPTION_VALUE, "Opaque", NULL, "TYPE", "type of a secret"},
};

static int run_configmap(struct rctl *r)
{
    if (r->args.words_count != 1) {
        return rctl_usage(r, "exactly one name is needed");
    }
    return run_create_data(r, r->args.words[0], false);
}

static int run_secret(struct rctl *r)
{
    if (r->args.words_count != 2 || strcmp(r->args.words[0], "generic") != 0) {
        return rctl_usage(r, "secrets are made by \"create secret generic NAME\"");
    }
    return run_create_data(r, r->args.words[1], true);
}

static const struct command create_configmap = {
    .name = "configmap",
    .alias = "cm",
    .usage = "NAME [--from-file=[KEY=]PATH] [--from-literal=KEY=VALUE]",
    .summary = "Create a ConfigMap from files and values",
    .examples = "  # one file; its name becomes the key\n"
                "  rctl create configmap nginx-conf --from-file=hello.conf\n"
                "  # another key, and a value beside it\n"
                "  rctl create configmap web --from-file=nginx.conf=hello.conf --from-literal=color=blue\n"
                "  # only look at what it would be\n"
                "  rctl create configmap web --from-literal=a=b --dry-run=client -o yaml\n",
    .options = data_options,
    .options_count = ARRAY_SIZE(data_options) - 1,
    .run = run_configmap,
};
static const struct command create_secret = {
    .name = "secret",
    .usage = "generic NAME [--from-file=[KEY=]PATH] [--from-literal=KEY=VALUE] [--type=TYPE]",
    .summary = "Create a Secret from files and values",
    .examples = "  # a password\n"
                "  rctl create secret generic db --from-literal=password=s3cret\n"
                "  # keys from files, so that they stand in no shell history\n"
                "  rctl create secret generic tls --from-file=tls.crt --from-file=tls.key\n"
                "  # a manifest to keep\n"
                "  rctl create secret generic db --from-literal=user=web --dry-run=client -o yaml\n",
    .options = data_options,
    .options_count = ARRAY_SIZE(data_options),
    .run = run_secret,
};

/* ---- namespace ---- */

static const struct option_row plain_options[] = {OPTION_ROW_DRY_RUN, OPTION_ROW_OUTPUT};

static int run_namespace(struct rctl *r)
{
    if (r->args.words_count != 1) {
        return rctl_usage(r, "exactly one name is needed");
    }
    return create_made(r, new_document(r, "v1", "Namespace", r->args.words[0], false));
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
    OPTION_ROW_DRY_RUN,
    OPTION_ROW_OUTPUT,
};

/* "registry/team/nginx:1.22" -> "nginx" */
static struct value *container_name(struct arena *a, const char *image)
{
    const char *slash = strrchr(image, '/');
    const char *base = slash == NULL ? image : slash + 1;
    return value_str(a, (struct str){base, strcspn(base, ":@")});
}

static struct value *app_labels(struct arena *a, const char *name)
{
    struct value *labels = value_map(a);
    value_set(a, labels, "app", value_cstr(a, name));
    return labels;
}

static void add_containers(struct rctl *r, struct value *pod_spec, int64_t port)
{
    struct arena *a = &r->arena;
    struct value *containers = value_ensure_list(a, pod_spec, "containers");
    for (unsigned i = 0; i < args_count(&r->args, "image"); i++) {
        const char *image = args_at(&r->args, "image", i);
        struct value *c = value_map(a);
        value_set(a, c, "name", container_name(a, image));
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
    if (args_int("replicas", opt(r, "replicas"), 0, INT32_MAX, &replicas, &err) != 0 ||
        (opt(r, "port") != NULL && args_int("port", opt(r, "port"), 1, 65535, &port, &err) != 0)) {
        return rctl_usage(r, "%s", err.message);
    }
    struct arena *a = &r->arena;
    const char *name = r->args.words[0];
    struct value *doc = new_document(r, "apps/v1", "Deployment", name, true);
    value_set(a, value_get(doc, "metadata"), "labels", app_labels(a, name));
    struct value *spec = value_ensure_map(a, doc, "spec");
    value_set(a, spec, "replicas", value_int(a, replicas));
    value_set(a, value_ensure_map(a, spec, "selector"), "matchLabels", app_labels(a, name));
    struct value *template = value_ensure_map(a, spec, "template");
    value_set(a, value_ensure_map(a, template, "metadata"), "labels", app_labels(a, name));
    add_containers(r, value_ensure_map(a, template, "spec"), port);
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

static const struct option_row create_options[] = {OPTION_ROWS_FILES, OPTION_ROWS_WRITE, OPTION_ROW_SELECTOR,
                                                   OPTION_ROW_DRY_RUN, OPTION_ROW_OUTPUT};
static const struct command *const create_subs[] = {&create_configmap, &create_secret, &create_namespace,
                                                    &create_deployment, NULL};
const struct command command_create = {
    .name = "create",
    .usage = "-f FILE... | configmap NAME ... | secret generic NAME ... | namespace NAME | deployment NAME ...",
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

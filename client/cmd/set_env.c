/* rctl set env: variables of containers. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "client/cmd/set_common.h"
#include "client/manifest/keyfile.h"

static const struct option_row env_options[] = {
    OPTION_ROW_CONTAINERS,
    {"env", 'e', OPTION_REPEAT, NULL, NULL, "KEY=VALUE", "a variable"},
    {"from", 0, OPTION_VALUE, NULL, NULL, "TYPE/NAME", "all keys of a ConfigMap or Secret, by reference"},
    {"keys", 0, OPTION_REPEAT, NULL, NULL, "KEY,...", "with --from: only these"},
    {"prefix", 0, OPTION_VALUE, "", NULL, "TEXT", "with --from: in front of each variable"},
    {"list", 0, OPTION_FLAG, NULL, NULL, NULL, "show the variables instead of changing them"},
    {"resolve", 0, OPTION_FLAG, NULL, NULL, NULL, "with --list: also the values that ConfigMaps and Secrets hold"},
    {"overwrite", 0, OPTION_FLAG, "true", NULL, NULL, "change variables that are there already"},
    OPTION_ROWS_SET,
};

#define ENV_MAX 1024u
struct env_changes {
    struct value *set;  /* list of {name, value | valueFrom} */
    struct value *drop; /* list of names */
};

static int add_pair(struct rctl *r, struct env_changes *c, struct str key, struct str text, struct error *err)
{
    if (!name_is_env(key)) {
        return error_set(err, ERR_USAGE, "\"%.*s\" cannot be the name of a variable", STR_ARG(key));
    }
    if (value_count(c->set) >= ENV_MAX) {
        return error_set(err, ERR_USAGE, "more than %u variables at once", ENV_MAX);
    }
    struct value *v = value_map(&r->arena);
    value_set(&r->arena, v, "name", value_str(&r->arena, key));
    value_set(&r->arena, v, "value", value_str(&r->arena, text));
    value_append(&r->arena, c->set, v);
    return 0;
}

/* KEY=VALUE or KEY-; *taken false: it is something else. */
static int take_word(struct rctl *r, struct env_changes *c, const char *word, bool *taken, struct error *err)
{
    const char *eq = strchr(word, '=');
    size_t n = strlen(word);
    *taken = true;
    if (eq != NULL) {
        return add_pair(r, c, (struct str){word, (size_t)(eq - word)}, str_of(eq + 1), err);
    }
    if (n > 1 && word[n - 1] == '-') {
        value_append(&r->arena, c->drop, value_str(&r->arena, (struct str){word, n - 1}));
        return 0;
    }
    *taken = false;
    return 0;
}

struct stdin_pairs {
    struct rctl *r;
    struct env_changes *c;
};

static int stdin_pair(struct str key, struct str value, void *data, struct error *err)
{
    struct stdin_pairs *p = data;
    return add_pair(p->r, p->c, key, value, err);
}

static int take_stdin(struct rctl *r, struct env_changes *c, struct error *err)
{
    char *text;
    size_t size;
    int rc = manifest_slurp("-", OBJECT_SIZE_MAX, &text, &size, err);
    if (rc != 0) {
        return rc;
    }
    struct stdin_pairs p = {r, c};
    rc = keyfile_env((struct str){text, size}, "standard input", stdin_pair, &p, err);
    free(text);
    return rc;
}

static int take_words(struct rctl *r, struct env_changes *c, struct error *err)
{
    unsigned kept = 0;
    int rc = 0;
    for (unsigned i = 0; i < r->args.words_count && rc == 0; i++) {
        const char *word = r->args.words[i];
        bool taken = true;
        rc = strcmp(word, "-") == 0 ? take_stdin(r, c, err) : take_word(r, c, word, &taken, err);
        if (!taken) {
            r->args.words[kept++] = word;
        }
    }
    r->args.words_count = kept;
    for (unsigned i = 0; i < args_count(&r->args, "env") && rc == 0; i++) {
        bool taken;
        rc = take_word(r, c, args_at(&r->args, "env", i), &taken, err);
        if (rc == 0 && !taken) {
            rc = error_set(err, ERR_USAGE, "--env is KEY=VALUE or KEY-, not \"%s\"", args_at(&r->args, "env", i));
        }
    }
    return rc;
}

/* ---- --from ---- */

static bool key_wanted(struct rctl *r, const char *key)
{
    unsigned n = args_count(&r->args, "keys");
    for (unsigned i = 0; i < n; i++) {
        char *copy = arena_strdup(&r->arena, args_at(&r->args, "keys", i)), *save = NULL;
        for (char *part = strtok_r(copy, ",", &save); part != NULL; part = strtok_r(NULL, ",", &save)) {
            if (strcmp(part, key) == 0) {
                return true;
            }
        }
    }
    return n == 0;
}

/* "db-host" -> "DB_HOST" */
static char *variable_name(struct rctl *r, const char *key)
{
    char *name = arena_printf(&r->arena, "%s%s", opt(r, "prefix"), key);
    for (char *p = name + strlen(opt(r, "prefix")); *p != '\0'; p++) {
        *p = isalnum((unsigned char)*p) ? (char)toupper((unsigned char)*p) : '_';
    }
    return name;
}

static int take_from(struct rctl *r, struct env_changes *c, struct error *err)
{
    const char *from = opt(r, "from");
    struct resources res;
    if (from == NULL) {
        return 0;
    }
    int rc = resource_parse(&r->arena, &from, 1, &res, err);
    if (rc != 0) {
        return rc;
    }
    const struct kind *k = res.items[0].kind;
    bool secret = k->id == KIND_SECRET;
    if (res.items[0].name == NULL || (!secret && k->id != KIND_CONFIGMAP)) {
        return error_set(err, ERR_USAGE, "--from is configmap/NAME or secret/NAME, not \"%s\"", from);
    }
    CLEANUP_OBJECT struct object *o = NULL;
    rc = rctl_connect(r, err);
    rc = rc != 0 ? rc : api_get(r->api, k, rctl_namespace(r), res.items[0].name, false, &o, err);
    if (rc != 0) {
        return rc;
    }
    struct arena *a = &r->arena;
    for (struct mp_iter it = mp_iter(mp_get(object_mp(o), "data")); mp_next(&it);) {
        const char *key = arena_strndup(a, it.key.p, it.key.n);
        if (!key_wanted(r, key)) {
            continue;
        }
        struct value *ref = value_map(a), *v = value_map(a);
        value_set(a, ref, "name", value_cstr(a, res.items[0].name));
        value_set(a, ref, "key", value_cstr(a, key));
        value_set(a, v, "name", value_cstr(a, variable_name(r, key)));
        value_set(a, value_ensure_map(a, v, "valueFrom"), secret ? "secretKeyRef" : "configMapKeyRef", ref);
        value_append(a, c->set, v);
    }
    return value_count(c->set) > 0 ? 0 : error_set(err, ERR_NOT_FOUND, "%s has no such keys: nothing to set", from);
}

/* ---- Changing ---- */

static int put_env(struct rctl *r, struct value *container, void *data, struct error *err)
{
    struct env_changes *c = data;
    struct arena *a = &r->arena;
    struct value *env = value_get(container, "env");
    for (unsigned i = 0; i < value_count(c->set); i++) {
        struct value *wanted = value_item(c->set, i);
        struct str name = value_to_str(value_get(wanted, "name"));
        env = value_ensure_list(a, container, "env");
        unsigned at = value_count(env);
        for (unsigned k = 0; k < value_count(env); k++) {
            at = str_eq(value_to_str(value_get(value_item(env, k), "name")), name) ? k : at;
        }
        if (at < value_count(env) && !opt_flag(r, "overwrite") && !value_equal(value_item(env, at), wanted)) {
            return error_set(err, ERR_INVALID, "'%.*s' has a value already, and --overwrite is false", STR_ARG(name));
        }
        if (at < value_count(env)) {
            env->list.items[at] = value_copy(a, wanted);
        } else {
            value_append(a, env, value_copy(a, wanted));
        }
    }
    for (unsigned i = 0; i < value_count(c->drop); i++) {
        for (unsigned k = value_count(env); k > 0; k--) {
            if (str_eq(value_to_str(value_get(value_item(env, k - 1), "name")), value_to_str(value_item(c->drop, i)))) {
                value_remove_at(env, k - 1);
            }
        }
    }
    if (env != NULL && value_count(env) == 0) {
        value_remove(container, "env");
    }
    return 0;
}

static int change_env(struct rctl *r, struct value *doc, const char *title, void *data, struct error *err)
{
    return set_containers(r, doc, title, opt(r, "containers"), put_env, data, err);
}

/* ---- Listing ---- */

struct listing {
    const char *title;
    const char *ns;
};

/* The value behind a reference; NULL: it could not be looked up. */
static const char *resolved(struct rctl *r, const char *ns, enum kind_id id, const struct value *ref)
{
    struct error err = {0};
    CLEANUP_OBJECT struct object *o = NULL;
    if (r->api == NULL || api_get(r->api, kind_by_id(id), ns, common_cstr(r, value_to_str(value_get(ref, "name"))),
                                  false, &o, &err) != 0) {
        return NULL;
    }
    struct value *doc = object_to_value(&r->arena, o);
    const struct value *v = value_get_str_key(value_get(doc, "data"), value_to_str(value_get(ref, "key")));
    return v == NULL ? NULL : arena_strndup(&r->arena, v->str.p, v->str.n);
}

static void list_reference(struct rctl *r, const struct listing *l, const struct value *v)
{
    static const struct {
        const char *field, *word;
        enum kind_id id;
    } refs[] = {{"configMapKeyRef", "configmap", KIND_CONFIGMAP}, {"secretKeyRef", "secret", KIND_SECRET}};
    struct str name = value_to_str(value_get(v, "name"));
    const struct value *from = value_get(v, "valueFrom");
    for (unsigned i = 0; i < ARRAY_SIZE(refs); i++) {
        const struct value *ref = value_get(from, refs[i].field);
        if (ref == NULL) {
            continue;
        }
        const char *value = opt_flag(r, "resolve") ? resolved(r, l->ns, refs[i].id, ref) : NULL;
        if (value != NULL) {
            fprintf(r->out, "%.*s=%s\n", STR_ARG(name), value);
        } else {
            fprintf(r->out, "# %.*s from %s %.*s, key %.*s\n", STR_ARG(name), refs[i].word,
                    STR_ARG(value_to_str(value_get(ref, "name"))), STR_ARG(value_to_str(value_get(ref, "key"))));
        }
        return;
    }
    struct str path = value_path_str(from, "fieldRef.fieldPath");
    struct str resource = value_path_str(from, "resourceFieldRef.resource");
    fprintf(r->out, "# %.*s from %s %.*s\n", STR_ARG(name), path.n > 0 ? "field path" : "resource",
            STR_ARG(path.n > 0 ? path : resource));
}

static int list_container(struct rctl *r, struct value *container, void *data, struct error *err)
{
    (void)err;
    const struct listing *l = data;
    fprintf(r->out, "# %s, container %.*s\n", l->title, STR_ARG(value_to_str(value_get(container, "name"))));
    const struct value *env = value_get(container, "env");
    VALUE_FOR(i, env)
    {
        const struct value *v = value_item(env, i);
        if (value_get(v, "valueFrom") != NULL) {
            list_reference(r, l, v);
        } else {
            fprintf(r->out, "%.*s=%.*s\n", STR_ARG(value_to_str(value_get(v, "name"))),
                    STR_ARG(value_to_str(value_get(v, "value"))));
        }
    }
    return 0;
}

/* Lists instead of changing: the document stays as it is, so nothing is sent. */
static int list_env(struct rctl *r, struct value *doc, const char *title, void *data, struct error *err)
{
    (void)data;
    const struct value *ns = value_path(doc, "metadata.namespace");
    struct listing l = {title, ns == NULL ? rctl_namespace(r) : common_cstr(r, value_to_str(ns))};
    return set_containers(r, doc, title, opt(r, "containers"), list_container, &l, err);
}

static int run_set_env(struct rctl *r)
{
    struct error err = {0};
    struct env_changes c = {value_list(&r->arena), value_list(&r->arena)};
    if (take_words(r, &c, &err) != 0 || take_from(r, &c, &err) != 0) {
        return common_fail(r, &err);
    }
    if (opt_flag(r, "list") || opt_flag(r, "resolve")) {
        return set_run(r, "", list_env, NULL);
    }
    if (value_count(c.set) + value_count(c.drop) == 0) {
        return rctl_usage(r, "which variables? KEY=VALUE sets, KEY- removes, --from takes them from a ConfigMap");
    }
    return set_run(r, "env updated", change_env, &c);
}

const struct command set_env_command = {
    .name = "env",
    .usage = "TYPE/NAME KEY=VALUE... KEY-... [--from=configmap/NAME] [-c CONTAINER]",
    .summary = "Change the variables of containers, or list them",
    .examples = "  rctl set env deploy/hello COLOR=blue\n"
                "  # remove; all of a ConfigMap's or Secret's keys\n"
                "  rctl set env deploy/hello COLOR-\n"
                "  rctl set env deploy/hello --from=secret/db --prefix=DB_\n"
                "  # only look\n"
                "  rctl set env deploy --all --list\n",
    .options = env_options,
    .options_count = ARRAY_SIZE(env_options),
    .run = run_set_env,
};

/* rctl create configmap, create secret: from files, values, lines of an environment; certificates; access to
 * registries. */
#include <dirent.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/cmd/create.h"
#include "client/manifest/keyfile.h"
#include "client/manifest/kustomize.h"
#include "proto/text/text.h"

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

static int add_sources(struct rctl *r, struct data_target *t, struct error *err)
{
    int rc = 0;
    for (unsigned i = 0; i < r->args.values_count && rc == 0; i++) {
        const struct args_value *v = &r->args.values[i];
        if (strcmp(v->row->name, "from-file") == 0) {
            rc = add_from_file(t, v->value, err);
        } else if (strcmp(v->row->name, "from-literal") == 0) {
            rc = add_from_literal(t, v->value, err);
        } else if (strcmp(v->row->name, "from-env-file") == 0) {
            rc = add_from_env(t, v->value, err);
        }
    }
    return rc;
}

static int finish(struct rctl *r, struct value *doc)
{
    if (opt_flag(r, "append-hash")) {
        char hash[KUSTOMIZE_HASH_SIZE];
        kustomize_name_hash(&r->arena, doc, hash);
        struct value *meta = value_get(doc, "metadata");
        value_set(&r->arena, meta, "name",
                  value_strf(&r->arena, "%.*s-%s", STR_ARG(value_to_str(value_get(meta, "name"))), hash));
    }
    return create_made(r, doc);
}

static int run_create_data(struct rctl *r, const char *name, bool secret)
{
    struct value *doc = create_document(r, "v1", secret ? "Secret" : "ConfigMap", name, true);
    struct data_target t = {r, doc, secret};
    struct error err = {0};
    if (add_sources(r, &t, &err) != 0) {
        return common_fail(r, &err);
    }
    if (secret) {
        value_set(&r->arena, doc, "type", value_cstr(&r->arena, opt(r, "type") == NULL ? "Opaque" : opt(r, "type")));
    }
    return finish(r, doc);
}

/* ---- secret tls ---- */

/* The two belong together, or whoever uses the secret fails much later. */
static int check_pair(const char *cert_path, struct str cert, const char *key_path, struct str key, struct error *err)
{
    BIO *cert_bio = BIO_new_mem_buf(cert.p, (int)cert.n), *key_bio = BIO_new_mem_buf(key.p, (int)key.n);
    X509 *x = cert_bio == NULL ? NULL : PEM_read_bio_X509(cert_bio, NULL, NULL, NULL);
    EVP_PKEY *k = key_bio == NULL ? NULL : PEM_read_bio_PrivateKey(key_bio, NULL, NULL, (void *)"");
    int rc = 0;
    if (x == NULL) {
        rc = error_set(err, ERR_INVALID, "%s is no certificate in PEM", cert_path);
    } else if (k == NULL) {
        rc = error_set(err, ERR_INVALID, "%s is no private key in PEM (without a passphrase)", key_path);
    } else if (X509_check_private_key(x, k) != 1) {
        rc = error_set(err, ERR_INVALID, "the key in %s is not that of the certificate in %s", key_path, cert_path);
    }
    ERR_clear_error();
    X509_free(x);
    EVP_PKEY_free(k);
    BIO_free(cert_bio);
    BIO_free(key_bio);
    return rc;
}

static int run_tls(struct rctl *r, const char *name)
{
    struct error err = {0};
    const char *cert_path = opt(r, "cert"), *key_path = opt(r, "key");
    CLEANUP_FREE char *cert = NULL;
    CLEANUP_FREE char *key = NULL;
    size_t cert_size, key_size;
    if (cert_path == NULL || key_path == NULL) {
        return rctl_usage(r, "which certificate, which key? --cert=FILE --key=FILE");
    }
    struct value *doc = create_document(r, "v1", "Secret", name, true);
    struct data_target t = {r, doc, true};
    int rc = manifest_slurp(cert_path, OBJECT_SIZE_MAX, &cert, &cert_size, &err);
    rc = rc != 0 ? rc : manifest_slurp(key_path, OBJECT_SIZE_MAX, &key, &key_size, &err);
    rc = rc != 0 ? rc
                 : check_pair(cert_path, (struct str){cert, cert_size}, key_path, (struct str){key, key_size}, &err);
    rc = rc != 0 ? rc : add_key(&t, "tls.crt", (struct str){cert, cert_size}, &err);
    rc = rc != 0 ? rc : add_key(&t, "tls.key", (struct str){key, key_size}, &err);
    if (rc != 0) {
        return rctl_fail_here(r, &err);
    }
    value_set(&r->arena, doc, "type", value_cstr(&r->arena, "kubernetes.io/tls"));
    return finish(r, doc);
}

/* ---- secret docker-registry ---- */

static int run_registry(struct rctl *r, const char *name)
{
    struct error err = {0};
    struct arena *a = &r->arena;
    struct value *doc = create_document(r, "v1", "Secret", name, true);
    struct data_target t = {r, doc, true};
    const char *user = opt(r, "docker-username"), *password = opt(r, "docker-password"),
               *email = opt(r, "docker-email");
    int rc;
    if (args_given(&r->args, "from-file")) {
        rc = add_sources(r, &t, &err);
        if (rc == 0 && value_get(value_get(doc, "data"), ".dockerconfigjson") == NULL) {
            return rctl_usage(r, "the file is to stand under one key: --from-file=.dockerconfigjson=PATH");
        }
    } else if (user == NULL || password == NULL) {
        return rctl_usage(r,
                          "which user? --docker-username and --docker-password, or --from-file=.dockerconfigjson=PATH");
    } else {
        CLEANUP_BUF struct buf plain = BUF_INIT;
        CLEANUP_BUF struct buf coded = BUF_INIT;
        CLEANUP_BUF struct buf json = BUF_INIT;
        buf_printf(&plain, "%s:%s", user, password);
        base64_write(&coded, plain.data, plain.size);
        struct value *entry = value_map(a), *auths = value_map(a), *config = value_map(a);
        value_set(a, entry, "username", value_cstr(a, user));
        value_set(a, entry, "password", value_cstr(a, password));
        if (email[0] != '\0') {
            value_set(a, entry, "email", value_cstr(a, email));
        }
        value_set(a, entry, "auth", value_str(a, buf_str(&coded)));
        value_set(a, auths, opt(r, "docker-server"), entry);
        value_set(a, config, "auths", auths);
        json_write(&json, config, 0);
        rc = add_key(&t, ".dockerconfigjson", buf_str(&json), &err);
    }
    if (rc != 0) {
        return common_fail(r, &err);
    }
    value_set(a, doc, "type", value_cstr(a, "kubernetes.io/dockerconfigjson"));
    return finish(r, doc);
}

static const struct option_row data_options[] = {
    {"from-file", 0, OPTION_REPEAT, NULL, NULL, "[KEY=]PATH", "a file, or all files of a directory"},
    {"from-literal", 0, OPTION_REPEAT, NULL, NULL, "KEY=VALUE", "a key and its value"},
    {"from-env-file", 0, OPTION_REPEAT, NULL, NULL, "PATH", "KEY=VALUE lines"},
    {"append-hash", 0, OPTION_FLAG, NULL, NULL, NULL, "put a hash of the content behind the name"},
    OPTION_ROWS_CREATE,
};
static const struct option_row secret_options[] = {
    {"from-file", 0, OPTION_REPEAT, NULL, NULL, "[KEY=]PATH", "a file, or all files of a directory"},
    {"from-literal", 0, OPTION_REPEAT, NULL, NULL, "KEY=VALUE", "a key and its value"},
    {"from-env-file", 0, OPTION_REPEAT, NULL, NULL, "PATH", "KEY=VALUE lines"},
    {"append-hash", 0, OPTION_FLAG, NULL, NULL, NULL, "put a hash of the content behind the name"},
    {"type", 0, OPTION_VALUE, NULL, NULL, "TYPE", "type of a generic secret (otherwise Opaque)"},
    {"cert", 0, OPTION_VALUE, NULL, NULL, "FILE", "tls: the certificate, PEM"},
    {"key", 0, OPTION_VALUE, NULL, NULL, "FILE", "tls: its key, PEM"},
    {"docker-server", 0, OPTION_VALUE, "https://index.docker.io/v1/", NULL, "ADDRESS", "docker-registry: which one"},
    {"docker-username", 0, OPTION_VALUE, NULL, NULL, "NAME", "docker-registry: user"},
    {"docker-password", 0, OPTION_VALUE, NULL, NULL, "TEXT", "docker-registry: password"},
    {"docker-email", 0, OPTION_VALUE, "", NULL, "TEXT", "docker-registry: address of the user"},
    OPTION_ROWS_CREATE,
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
    static const struct {
        const char *word;
        int (*run)(struct rctl *r, const char *name);
    } sorts[] = {{"tls", run_tls}, {"docker-registry", run_registry}, {"docker", run_registry}};
    if (r->args.words_count == 2 && strcmp(r->args.words[0], "generic") == 0) {
        return run_create_data(r, r->args.words[1], true);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(sorts) && r->args.words_count == 2; i++) {
        if (strcmp(r->args.words[0], sorts[i].word) == 0) {
            return sorts[i].run(r, r->args.words[1]);
        }
    }
    return rctl_usage(r, "secrets are made by \"create secret generic|tls|docker-registry NAME\"");
}

const struct command create_configmap = {
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
    .options_count = ARRAY_SIZE(data_options),
    .run = run_configmap,
};
const struct command create_secret = {
    .name = "secret",
    .usage = "generic|tls|docker-registry NAME [--from-file=[KEY=]PATH] [--from-literal=KEY=VALUE] ...",
    .summary = "Create a Secret from files and values",
    .examples = "  # a password\n"
                "  rctl create secret generic db --from-literal=password=s3cret\n"
                "  # keys from files, so that they stand in no shell history\n"
                "  rctl create secret generic tls --from-file=tls.crt --from-file=tls.key\n"
                "  # for HTTPS; for pulling images\n"
                "  rctl create secret tls web --cert=web.crt --key=web.key\n"
                "  rctl create secret docker-registry pull --from-file=.dockerconfigjson=config.json\n"
                "  # a manifest to keep\n"
                "  rctl create secret generic db --from-literal=user=web --dry-run=client -o yaml\n",
    .options = secret_options,
    .options_count = ARRAY_SIZE(secret_options),
    .run = run_secret,
};

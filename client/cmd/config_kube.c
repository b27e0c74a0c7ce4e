/* rctl config kubeconfig: the configuration of a context as kubectl and other clients of Kubernetes read it. They know
 * one address of a cluster, so one master is named: any of them serves the whole API. */
#include "client/cmd/common.h"
#include "client/cmd/config.h"
#include "proto/pki/pki.h"
#include "proto/text/text.h"

static const struct option_row kubeconfig_options[] = {
    {"output-file", 'f', OPTION_VALUE, NULL, NULL, "FILE", "write it there (0600) instead of to stdout"},
    {"server", 's', OPTION_VALUE, NULL, NULL, "HOST:PORT", "the master that is to be asked; without: the first one"},
};

static struct value *base64(struct arena *a, const char *pem)
{
    CLEANUP_BUF_WIPE struct buf b = BUF_INIT;
    buf_reserve(&b, strlen(pem) * 2);
    base64_write(&b, pem, strlen(pem));
    return value_str(a, buf_str(&b));
}

static struct value *entry(struct arena *a, struct value *doc, const char *list, const char *name, const char *inner)
{
    struct value *e = value_map(a);
    value_set(a, e, "name", value_cstr(a, name));
    value_set(a, e, inner, value_map(a));
    value_append(a, value_ensure_list(a, doc, list), e);
    return value_get(e, inner);
}

struct value *kubeconfig_document(struct arena *a, const struct config_target *t, const char *server, const char *token)
{
    struct value *doc = value_map(a);
    value_set(a, doc, "apiVersion", value_cstr(a, "v1"));
    value_set(a, doc, "kind", value_cstr(a, "Config"));
    struct value *cluster = entry(a, doc, "clusters", t->cluster, "cluster");
    value_set(a, cluster, "server", value_strf(a, "https://%s", server));
    value_set(a, cluster, "certificate-authority-data", base64(a, t->ca_pem));
    struct value *user = entry(a, doc, "users", t->user, "user");
    if (token != NULL) {
        value_set(a, user, "token", value_cstr(a, token));
    } else {
        value_set(a, user, "client-certificate-data", base64(a, t->cert_pem));
        value_set(a, user, "client-key-data", base64(a, t->key_pem));
    }
    struct value *context = entry(a, doc, "contexts", t->context, "context");
    value_set(a, context, "cluster", value_cstr(a, t->cluster));
    value_set(a, context, "user", value_cstr(a, t->user));
    if (t->ns != NULL && t->ns[0] != '\0') {
        value_set(a, context, "namespace", value_cstr(a, t->ns));
    }
    value_set(a, doc, "current-context", value_cstr(a, t->context));
    return doc;
}

static int run_kubeconfig(struct rctl *r)
{
    struct error err = {0};
    struct config_target target;
    const char *file = opt(r, "output-file"), *server = opt(r, "server"), *context = opt(r, "context");
    if (config_load(&r->arena, rctl_config_path(r), &r->config, &err) != 0 ||
        config_resolve(&r->arena, &r->config, context, &target, &err) != 0) {
        return rctl_fail(r, &err);
    }
    server = server != NULL ? server : target.servers[0];
    CLEANUP_BUF_WIPE struct buf out = BUF_INIT;
    buf_reserve(&out, 64u << 10);
    yaml_write(&out, kubeconfig_document(&r->arena, &target, server, NULL));
    if (file == NULL) {
        rctl_write(r, &out);
        return EXIT_DONE;
    }
    if (pki_write_file(file, out.data, out.size, 0600, &err) != 0) {
        return rctl_fail(r, &err);
    }
    fprintf(r->out, "%s is written: export KUBECONFIG=%s\n", file, file);
    return EXIT_DONE;
}

const struct command config_kubeconfig = {
    .name = "kubeconfig",
    .usage = "[--output-file FILE] [--server HOST:PORT]",
    .summary = "The configuration of the context for kubectl",
    .examples = "  rctl config kubeconfig -f kubeconfig\n"
                "  KUBECONFIG=kubeconfig kubectl get pods\n"
                "  # another master than the first one\n"
                "  rctl config kubeconfig -s 10.0.0.2:7400 > kubeconfig\n",
    .options = kubeconfig_options,
    .options_count = ARRAY_SIZE(kubeconfig_options),
    .run = run_kubeconfig,
    .wordless = true,
};

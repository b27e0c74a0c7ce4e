/* rctl user: certificates and tokens for users, who may do what roles give them. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cmd/common.h"
#include "client/cmd/config.h"
#include "proto/pki/pki.h"
#include "proto/text/text.h"

static const struct option_row add_options[] = {
    {"group", 'g', OPTION_REPEAT, NULL, NULL, "GROUP", "a group that the user is in"},
    {"to", 0, OPTION_VALUE, NULL, NULL, "FILE",
     "the file to be written; if not given NAME.config, or NAME.kubeconfig with --token"},
    {"token", 0, OPTION_FLAG, NULL, NULL, NULL,
     "a token instead of a certificate, in a file for kubectl and other clients over HTTPS"},
    {"duration", 0, OPTION_VALUE, NULL, NULL, "TIME",
     "how long the token is good; as long as a certificate if not given"},
};

/* The configuration of the new user, with all else as in ours. */
static int write_config(struct rctl *r, const char *path, struct mp answer, const char *key, struct error *err)
{
    struct arena *a = &r->arena;
    struct config_target target = r->target;
    struct str cert = mp_str(mp_get(answer, "certificate")), ca = mp_str(mp_get(answer, "ca"));
    const char *name = r->args.words[0];
    target.cert_pem = arena_strndup(a, cert.n == 0 ? "" : cert.p, cert.n);
    target.ca_pem = ca.n == 0 ? target.ca_pem : arena_strndup(a, ca.p, ca.n);
    target.key_pem = key;
    target.user = name;
    if (!pki_pair_fits(target.cert_pem, key)) {
        return error_set(err, ERR_PROTOCOL, "the master certified something else than it was asked for");
    }
    return config_write(path, &target, name, err);
}

/* One that names the first of the masters. */
static int write_kubeconfig(struct rctl *r, const char *path, struct mp answer, struct error *err)
{
    struct arena *a = &r->arena;
    struct config_target target = r->target;
    struct str token = mp_str(mp_get(answer, "token")), ca = mp_str(mp_get(answer, "ca"));
    CLEANUP_BUF_WIPE struct buf out = BUF_INIT;
    if (token.n == 0) {
        return error_set(err, ERR_PROTOCOL, "the master gave no token");
    }
    target.ca_pem = ca.n == 0 ? target.ca_pem : arena_strndup(a, ca.p, ca.n);
    target.user = r->args.words[0];
    target.context = r->args.words[0];
    buf_reserve(&out, 64u << 10);
    yaml_write(&out, kubeconfig_document(a, &target, target.servers[0], arena_strndup(a, token.p, token.n)));
    return pki_write_file(path, out.data, out.size, 0600, err);
}

static int add_token(struct rctl *r, struct value *params, const char *path)
{
    struct error err = {0};
    CLEANUP_REPLY struct api_reply reply = {0};
    int64_t life_ms = 0;
    const char *name = r->args.words[0];
    if (opt(r, "duration") != NULL && args_duration_ms("duration", opt(r, "duration"), &life_ms, &err) != 0) {
        return rctl_fail_here(r, &err);
    }
    if (opt(r, "duration") != NULL) {
        value_set(&r->arena, params, "ttlSeconds", value_int(&r->arena, life_ms / 1000));
    }
    if (rctl_connect(r, &err) != 0 || api_read(r->api, "user.token", params, &reply, &err) != 0 ||
        write_kubeconfig(r, path, reply.result, &err) != 0) {
        return rctl_fail(r, &err);
    }
    fprintf(r->out, "user \"%s\" added: %s\n", name, path);
    rctl_note(
        r,
        "the file holds a token, which is good until %.*s: hand it to %s alone, for kubectl and other clients over "
        "HTTPS. What the user may do is said by roles. `rctl cert revoke user/%s` takes it back",
        STR_ARG(mp_str(mp_get(reply.result, "expires"))), name, name);
    return EXIT_DONE;
}

static int run_add(struct rctl *r)
{
    struct arena *a = &r->arena;
    struct error err = {0};
    CLEANUP_REPLY struct api_reply reply = {0};
    struct pki_identity who = {.role = PKI_ROLE_USER};
    struct value *params = value_map(a);
    char *csr = NULL, *key = NULL;
    if (r->args.words_count != 1 || r->args.words[0][0] == '\0' || strlen(r->args.words[0]) > PKI_NAME_MAX) {
        return rctl_usage(r, "exactly one name of a user is needed");
    }
    const char *name = r->args.words[0];
    const char *path = opt(r, "to") != NULL
                           ? opt(r, "to")
                           : arena_printf(a, "%s.%s", name, opt_flag(r, "token") ? "kubeconfig" : "config");
    if (opt(r, "to") == NULL && strchr(name, '/') != NULL) {
        return rctl_usage(r, "\"%s\" is no name for a file: say --to FILE", name);
    }
    if (access(path, F_OK) == 0) {
        error_set(&err, ERR_EXISTS, "%s is there already; say --to FILE, or remove it first", path);
        return rctl_fail_here(r, &err);
    }
    memcpy(who.name, name, strlen(name));
    value_set(a, params, "name", value_cstr(a, name));
    for (unsigned i = 0; i < args_count(&r->args, "group"); i++) {
        value_append(a, value_ensure_list(a, params, "groups"), value_cstr(a, args_at(&r->args, "group", i)));
    }
    if (opt_flag(r, "token")) {
        return add_token(r, params, path);
    }
    if (opt(r, "duration") != NULL) {
        return rctl_usage(r, "--duration is of a token: say --token, too");
    }
    int rc = rctl_connect(r, &err);
    rc = rc != 0 ? rc : pki_make_request(&who, &csr, &key, &err);
    if (rc == 0) {
        value_set(a, params, "csr", value_cstr(a, csr));
        rc = api_read(r->api, "user", params, &reply, &err);
    }
    rc = rc != 0 ? rc : write_config(r, path, reply.result, key, &err);
    free(csr);
    pki_free_key(key);
    if (rc != 0) {
        return rctl_fail(r, &err);
    }
    fprintf(r->out, "user \"%s\" added: %s\n", name, path);
    rctl_note(r,
              "the file holds the private key: hand it to %s alone. What the user may do is said by roles: rctl create "
              "rolebinding NAME --clusterrole=edit --user=%s -n NAMESPACE. `rctl cert revoke user/%s` takes the "
              "certificate back",
              name, name, name);
    return EXIT_DONE;
}

static const struct command user_add = {
    .name = "add",
    .usage = "NAME [--group GROUP]... [--token [--duration TIME]] [--to FILE]",
    .summary = "A client configuration with a certificate, or a token, for a user",
    .examples =
        "  rctl user add kate --group dev\n"
        "  rctl create rolebinding dev --clusterrole=edit --group=dev -n shop\n"
        "  rctl --config kate.config auth can-i --list -n shop\n"
        "  # for kubectl, good for a month\n"
        "  rctl user add robot --token --duration 720h && KUBECONFIG=robot.kubeconfig kubectl get pods -n shop\n",
    .options = add_options,
    .options_count = ARRAY_SIZE(add_options),
    .run = run_add,
};

static const struct command *const user_subs[] = {&user_add, NULL};
const struct command command_user = {
    .name = "user",
    .usage = "add NAME ...",
    .summary = "Certificates and tokens for users",
    .examples = "  rctl user add kate --group dev\n",
    .subs = user_subs,
};

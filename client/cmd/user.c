/* rctl user: certificates for users, who may do what roles give them. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cmd/common.h"
#include "proto/pki/pki.h"

static const struct option_row add_options[] = {
    {"group", 'g', OPTION_REPEAT, NULL, NULL, "GROUP", "a group that the user is in"},
    {"to", 0, OPTION_VALUE, NULL, NULL, "FILE", "the client configuration to be written; NAME.config if not given"},
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
    const char *path = opt(r, "to") != NULL ? opt(r, "to") : arena_printf(a, "%s.config", name);
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
    .usage = "NAME [--group GROUP]... [--to FILE]",
    .summary = "A client configuration with a certificate for a user",
    .examples = "  rctl user add kate --group dev\n"
                "  rctl create rolebinding dev --clusterrole=edit --group=dev -n shop\n"
                "  rctl --config kate.config auth can-i --list -n shop\n",
    .options = add_options,
    .options_count = ARRAY_SIZE(add_options),
    .run = run_add,
};

static const struct command *const user_subs[] = {&user_add, NULL};
const struct command command_user = {
    .name = "user",
    .usage = "add NAME ...",
    .summary = "Certificates for users",
    .examples = "  rctl user add kate --group dev\n",
    .subs = user_subs,
};

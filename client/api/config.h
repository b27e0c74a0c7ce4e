/* The client's configuration: which clusters there are and with which certificate to go there. The format is that of a
 * kubeconfig:
 *
 *   apiVersion: v1
 *   kind: Config
 *   current-context: reeve
 *   clusters:
 *   - name: reeve
 *     cluster:
 *       servers: [127.0.0.1:7400, 127.0.0.1:7401]      (server: with one address is read as well)
 *       certificate-authority-data: BASE64             (or certificate-authority: PATH, relative to this file)
 *   users:
 *   - name: admin
 *     user: {client-certificate-data: BASE64, client-key-data: BASE64}   (or client-certificate, client-key: PATH)
 *   contexts:
 *   - name: reeve
 *     context: {cluster: reeve, user: admin, namespace: default}
 *
 * Found by, in this order: the path given (--config), REEVE_CONFIG, ./.reeve/config, ~/.reeve/config. */
#ifndef CLIENT_API_CONFIG_H
#define CLIENT_API_CONFIG_H

#include "base/err.h"
#include "base/mem.h"
#include "proto/model/value.h"

#define CONFIG_SIZE_MAX    (1u << 20)
#define CONFIG_SERVERS_MAX 16u

struct config {
    const char *path;  /* where it came from */
    struct value *doc; /* as it stands in the file */
};
/* Everything needed to connect. Strings live in the arena. */
struct config_target {
    const char *context, *cluster, *user, *ns;
    const char *servers[CONFIG_SERVERS_MAX];
    unsigned servers_count;
    const char *ca_pem, *cert_pem, *key_pem;
    const char *refused; /* masters that count no more (proto/pki/pki.h); "" = none. refused-masters of the cluster */
};

/* path NULL = look for it. ERR_NOT_FOUND tells where was looked; ERR_INVALID has file, line and column. */
int config_load(struct arena *a, const char *path, struct config *out, struct error *err);
/* context NULL = the current one. */
int config_resolve(struct arena *a, const struct config *c, const char *context, struct config_target *out,
                   struct error *err);
/* The same with parts of the context replaced; NULL = as it has them. servers: comma separated. */
struct config_choice {
    const char *context, *cluster, *user, *servers;
};
int config_resolve_choice(struct arena *a, const struct config *c, const struct config_choice *choice,
                          struct config_target *out, struct error *err);
const char *config_current(struct arena *a, const struct config *c); /* "" if none */
/* ---- Changing it: the document first, then config_save() ---- */

/* The same as config_load, but where there is no file yet, an empty configuration for the path it would have. */
int config_load_or_begin(struct arena *a, const char *path, struct config *out, struct error *err);
int config_save(const struct config *c, struct error *err); /* 0600, atomically */
/* Entries of "clusters", "users", "contexts" by name; NULL if there is none. ensure: the inner map ("cluster",
 * "user", "context"), made if need be. */
struct value *config_entry(const struct config *c, const char *list, const char *name);
struct value *config_ensure_entry(struct arena *a, struct config *c, const char *list, const char *inner,
                                  const char *name);
bool config_remove_entry(struct config *c, const char *list, const char *name);
/* Certificates and keys that are files of their own come into the document. */
int config_flatten(struct arena *a, struct config *c, struct error *err);

/* Change the current context and write the file. ERR_NOT_FOUND lists the contexts there are. */
int config_use_context(struct arena *a, struct config *c, const char *context, struct error *err);
/* Writes the file with other addresses for the cluster of a context ("" = the current one). At most
 * CONFIG_SERVERS_MAX are taken. */
int config_set_servers(struct arena *a, struct config *c, const char *context, const char *const *servers,
                       unsigned count, struct error *err);
/* A configuration of one cluster, one user and one context, all from target (written 0600, atomically). */
int config_write(const char *path, const struct config_target *target, const char *user, struct error *err);
/* May the certificate of target's user be replaced in the file: does it stand in it (not in a file of its own), is the
 * file ours, and can it be written? 0, or ERR_UNSUPPORTED with the reason. */
int config_check_replace(const struct config *c, const struct config_target *target, struct error *err);
/* ca_pem: the CAs to trust from now on, in place of the cluster's; NULL: they stay (also if they are in a file of their
 * own). Puts a new certificate and key in place of target's, which must be there still: the file is read anew, all else
 * in it stays. ERR_CONFLICT: somebody else has replaced them meanwhile; nothing is written. */
int config_replace_cert(const struct config *c, const struct config_target *target, const char *ca_pem,
                        const char *cert_pem, const char *key_pem, struct error *err);
/* Notes in the file which masters of target's cluster count no more. */
int config_set_refused(const struct config *c, const struct config_target *target, const char *refused,
                       struct error *err);
/* The document without private keys ("REDACTED") and with certificates shortened to "DATA+OMITTED", for people to
 * look at. */
struct value *config_redacted(struct arena *a, const struct config *c);

#endif

/* Making a master's data directory: `reeve-master init` (a new cluster), `reeve-master join` (one more master), and
 * what starts a cluster from a state that is there already (a restored backup, the recovery after the loss of a
 * majority). All only prepare; `reeve-master run` serves. */
#ifndef MASTER_AUTH_SETUP_H
#define MASTER_AUTH_SETUP_H

#include <stddef.h>

#include "base/buf.h"
#include "master/config.h"
#include "master/stop.h"
#include "raft-store/store/store.h"

#define SETUP_REFUSED_MS 5000

/* c: dir, name, cluster, listen, advertise, agent_address (empty = defaults filled in) and timings. Prints the join
 * lines to stdout. ERR_EXISTS if the directory holds a master already. */
int setup_init(struct master_config *c, struct error *err);
/* Writes admin.config anew, with a fresh certificate, into the directory of a master: for an administrator whose
 * certificate has expired, or is lost. The master must run, and a majority of the masters: the leader signs, and is
 * asked over this master's own certificate (setup_admin.c). Before its first start the CA's key is in the directory,
 * and nobody is asked. */
int setup_admin(const struct master_config *c, struct error *err);
/* Names and addresses for a master's certificate: those of listen, advertise and agent_address, and localhost. */
#define SETUP_SANS_MAX 1024
void setup_sans(const struct master_config *c, char *out, size_t size);
/* token `id.secret@fingerprint`; addresses: masters to ask, comma separated. Takes as long as timeout_ms for all of
 * them. */
int setup_join(struct master_config *c, const char *token, const char *addresses, int64_t timeout_ms,
               struct error *err);

/* Blocks until one master has answered one call, or timeout_ms are over. 0 and the result's msgpack in *result (a
 * buffer of the caller's), or the error; *reached (may be NULL) becomes true if somebody has answered, be it with a
 * refusal. */
int setup_call(struct net_tls *tls, const char *addr, const char *method, struct str params, int64_t timeout_ms,
               struct buf *result, bool *reached, struct error *err);
/* The same for a process that may be told to stop meanwhile: ERR_CANCELED then, at once, whatever came of the call. */
int setup_call_until(const struct stop *stop, struct net_tls *tls, const char *addr, const char *method,
                     struct str params, int64_t timeout_ms, struct buf *result, struct error *err);

/* ---- setup_files.c: what they share ---- */

#define SETUP_TOKEN_SIZE 80
/* What all masters of a cluster hold. */
struct setup_keys {
    const char *ca, *ca_key; /* PEM */
    const struct pki_ring *seal_keys;
};
/* What a cluster goes on from, and its place in the log: at least 1 each. */
struct setup_state {
    const struct store_fork *fork;
    uint64_t term, index;
};
struct setup_tokens {
    char master[SETUP_TOKEN_SIZE], node[SETUP_TOKEN_SIZE]; /* good for a day from the first start on */
};
/* The directory of a cluster's first master: CA and keys, its own identity as c->id, admin.config, tokens and, unless
 * state is NULL, a Raft log of this one voter that begins behind the state. master.yaml comes last and says that the
 * directory is whole. With a state the directory must be new, empty, or left unfinished by a former run, which is
 * done again. ERR_EXISTS otherwise. */
int setup_write_state(const struct master_config *c, const struct setup_keys *keys, const struct setup_state *state,
                      struct setup_tokens *tokens, struct error *err);
/* May a state be written there? 0 or ERR_EXISTS; changes nothing. */
int setup_check_dir(const struct master_config *c, struct error *err);

/* admin.config: the first administrator's client configuration, in the form of a kubeconfig. */
int setup_write_admin(const struct master_config *c, const char *ca, const char *cert, const char *key,
                      struct error *err);
int setup_issue_admin(const struct master_config *c, const char *ca, const char *ca_key,
                      struct error *err); /* signed */
void setup_fill_defaults(struct master_config *c);
int setup_make_dir(const struct master_config *c, struct error *err); /* ERR_EXISTS if it holds a master */
int setup_write_file(const struct master_config *c, const char *file, const char *text, unsigned mode,
                     struct error *err);
/* "sealKey" and "sealKeys" of an answer to join, as map entries: the key that seals, for programs that know one alone,
 * and all of them, the first one seals. */
void setup_put_seal_keys(struct buf *b, const struct pki_ring *keys);
/* From such an answer; the caller wipes them. False: there are none. */
bool setup_get_seal_keys(struct mp answer, struct pki_ring *out);
/* raft/, or what else it is called, and all in it; 0 also if there is none. */
int setup_remove_raft_dir(const struct master_config *c, const char *name, struct error *err);
/* The same anew, with a log that begins behind the state. */
int setup_write_raft_dir(const struct master_config *c, const char *name, const struct setup_state *state,
                         struct error *err);
/* ca.crt, and ca.key if it is there (authority.h), else *ca_key is NULL; of several CAs in ca.crt the one that the key
 * belongs to comes first. Whatever comes of it, the caller frees both (pki_free_key for the key). */
int setup_read_ca(const struct master_config *c, char **ca, char **ca_key, struct error *err);
/* A certificate signed with the key is trusted by the CA's certificate; otherwise nobody could be taken in. */
int setup_check_ca(const char *ca, const char *ca_key, struct error *err);
/* A fresh key for c->id and its certificate, signed by our own CA. */
int setup_issue(const struct master_config *c, const char *ca, const char *ca_key, char **cert, char **key,
                struct error *err);
/* The same, as master.crt and master.key: for a directory that is not served from yet; else pki_write_pair. */
int setup_write_identity(const struct master_config *c, const char *ca, const char *ca_key, struct error *err);

#endif

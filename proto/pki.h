/* Keys and certificates of a cluster: its own CA, and certificates that say who somebody is.
 *
 * Every cluster has one CA (ECDSA P-256, self-signed, 10 years). Identity is the subject: CN = name, O = role.
 *   O=reeve:masters CN=<master id as decimal>     servers; may do all, forward on behalf of others
 *   O=reeve:nodes   CN=<node name>                agents: their own node and its pods
 *   O=reeve:admins  CN=<user>                     rctl
 * A newcomer without a certificate joins with a token: `<id 6>.<secret 16>@<first 16 bytes of SHA-256 of the CA certificate, hex>`; the client
 * checks the server's CA against the hash, so joining is safe against a man in the middle (kubeadm's idea). */
#ifndef PROTO_PKI_H
#define PROTO_PKI_H

#include "base/buf.h"
#include "base/err.h"

enum pki_role { PKI_ROLE_NONE, PKI_ROLE_MASTER, PKI_ROLE_NODE, PKI_ROLE_ADMIN };
#define PKI_NAME_MAX 253
struct pki_identity {
    enum pki_role role;
    char name[PKI_NAME_MAX + 1];
};

/* All texts are PEM, NUL-terminated, malloc()ed, the caller frees; keys are wiped by pki_free_key. */
int pki_make_ca(const char *cluster_name, char **cert_pem, char **key_pem, struct error *err);
/* A private key and a certificate for it, signed by the CA. sans: comma separated DNS names and IP addresses ("localhost,127.0.0.1,10.0.0.3"),
 * may be NULL. Valid from 5 minutes ago until valid_s seconds from now (a negative valid_s makes an expired one), but not
 * longer than the CA. Masters' certificates may serve, all may be used by clients. */
int pki_issue(const char *ca_cert_pem, const char *ca_key_pem, const struct pki_identity *who, const char *sans,
              int64_t valid_s, char **cert_pem, char **key_pem, struct error *err);
/* The same in two steps, so that a key never leaves its machine: make a key and a request, sign a request. */
int pki_make_request(const struct pki_identity *who, char **csr_pem, char **key_pem, struct error *err);
int pki_sign_request(const char *ca_cert_pem, const char *ca_key_pem, const char *csr_pem,
                     const struct pki_identity *who, const char *sans, int64_t valid_s, char **cert_pem,
                     struct error *err);
void pki_free_key(char *pem); /* wipes, then frees */
/* Subject, validity (seconds since the epoch) of a certificate. */
int pki_cert_info(const char *cert_pem, struct pki_identity *who, int64_t *not_before_s, int64_t *not_after_s,
                  struct error *err);
/* Hex of the first 16 bytes of SHA-256 over the DER form, and NUL. */
int pki_cert_fingerprint(const char *cert_pem, char out[33], struct error *err);

/* AES-256-GCM for what belongs to Secrets: out = nonce(12) tag(16) ciphertext. Nonces are random.
 * open: ERR_CORRUPT if the tag does not fit. aad may be empty. */
#define PKI_SEAL_KEY_SIZE 32
#define PKI_SEAL_OVERHEAD 28
int pki_seal(const uint8_t key[PKI_SEAL_KEY_SIZE], struct str aad, struct str plain, struct buf *out);
int pki_open(const uint8_t key[PKI_SEAL_KEY_SIZE], struct str aad, struct str sealed, struct buf *out);

/* Files: written with mode (0600 for keys), synced, renamed into place, directory synced. Read: at most limit bytes
 * (ERR_TOO_LARGE), a NUL follows them; size may be NULL; the caller frees (pki_free_key for keys). */
int pki_write_file(const char *path, const void *p, size_t n, unsigned mode, struct error *err);
int pki_read_file(const char *path, size_t limit, char **text, size_t *size, struct error *err);

#endif

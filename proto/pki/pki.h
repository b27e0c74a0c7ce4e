/* Keys and certificates of a cluster: its own CA, and certificates that say who somebody is.
 *
 * Every cluster has one CA (ECDSA P-256, self-signed, 20 years). Identity is the subject: CN = name, O = role.
 *   O=reeve:masters CN=<master id as decimal>     servers; may do all, forward on behalf of others
 *   O=reeve:nodes   CN=<node name>                agents: their own node and its pods
 *   O=reeve:admins  CN=<user>                     rctl: administrators, who may do all
 *   O=<group>...    CN=<user>                     everybody else: what roles give to the user and his groups
 * A newcomer without a certificate joins with a token: `<id 6>.<secret 16>@<first 16 bytes of SHA-256 of the CA
 * certificate, hex>`; the client checks the server's CA against the hash, so joining is safe against a man in the
 * middle (kubeadm's idea). */
#ifndef PROTO_PKI_PKI_H
#define PROTO_PKI_PKI_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"

enum pki_role { PKI_ROLE_NONE, PKI_ROLE_MASTER, PKI_ROLE_NODE, PKI_ROLE_ADMIN, PKI_ROLE_USER };
#define PKI_NAME_MAX 253
struct pki_identity {
    enum pki_role role;
    char name[PKI_NAME_MAX + 1];
};

#define PKI_PEM_MAX (64u << 10) /* a PEM text above this is not looked at */
/* All texts are PEM, NUL-terminated, malloc()ed, the caller frees; keys are wiped by pki_free_key. */
int pki_make_ca(const char *cluster_name, char **cert_pem, char **key_pem, struct error *err);
/* A private key and a certificate for it, signed by the CA. sans: comma separated DNS names and IP addresses
 * ("localhost,127.0.0.1,10.0.0.3"), may be NULL. Valid from 5 minutes ago (a tenth of valid_s, if that is less) until
 * valid_s seconds from now (a negative valid_s makes an expired one), but not longer than the CA. Masters'
 * certificates may serve, all may be used by clients. */
int pki_issue(const char *ca_cert_pem, const char *ca_key_pem, const struct pki_identity *who, const char *sans,
              int64_t valid_s, char **cert_pem, char **key_pem, struct error *err);
/* The same in two steps, so that a key never leaves its machine: make a key and a request, sign a request. */
int pki_make_request(const struct pki_identity *who, char **csr_pem, char **key_pem, struct error *err);
/* issued_ms: when it counts as issued (pki_facts); 0 = now. A revocation of all that was issued before a moment
 * can be followed by a new certificate at once: it is given a later moment. */
int pki_sign_request(const char *ca_cert_pem, const char *ca_key_pem, const char *csr_pem,
                     const struct pki_identity *who, const char *sans, int64_t valid_s, int64_t issued_ms,
                     char **cert_pem, struct error *err);
/* The same for a user (PKI_ROLE_USER) with groups: one name behind the other, each with its NUL, an empty one at the
 * end. ERR_INVALID: names with control characters, or that only Reeve's own certificates bear ("reeve:..."); more than
 * PKI_GROUPS_SIZE bytes or PKI_GROUPS_MAX of them. limited: valid_s is less than its owner would be given without
 * asking for less, which is noted in the certificate (pki_facts.limit_s), so that it is not renewed. */
#define PKI_GROUPS_MAX  24u
#define PKI_GROUPS_SIZE 448u
int pki_sign_user(const char *ca_cert_pem, const char *ca_key_pem, const char *csr_pem, const char *name,
                  const char *groups, int64_t valid_s, bool limited, int64_t issued_ms, char **cert_pem,
                  struct error *err);
/* The groups of a user's certificate in that form; of another one: none. ERR_INVALID. */
int pki_cert_groups(const char *cert_pem, char out[PKI_GROUPS_SIZE], struct error *err);
/* Hex of the first 16 bytes of SHA-256 over the public key of a request (its SubjectPublicKeyInfo in DER), and NUL:
 * the same as often as one applicant asks, and another for another applicant. ERR_INVALID: it is no request, or not
 * signed by its own key. */
int pki_request_fingerprint(const char *csr_pem, char out[33], struct error *err);
bool pki_request_fits(const char *csr_pem, const char *key_pem); /* the request is of this key */

/* ---- Requests that strangers bring (pki/request.c) ----
 *
 * A request that counts is PEM with one block, signed by its own key: RSA with 2048 to 8192 bits, ECDSA on a named
 * curve of 224 bits or more, Ed25519, Ed448. Others would be too weak, or too much work to check. */

/* What a request says of its subject, for who decides whether it is signed. */
struct pki_subject {
    char name[PKI_NAME_MAX + 1];  /* its common name; "": it has none, or several, or one that is no plain text */
    char groups[PKI_GROUPS_SIZE]; /* its organisations, as pki_sign_user takes them */
    bool named;                   /* it has a common name, be it one or several, plain text or not */
    bool fits;    /* false: its organisations are too many, too long or no plain text; groups is empty */
    bool own;     /* among its organisations, or as its name, stands one that is Reeve's own */
    bool system;  /* ... one that begins with "system:" */
    bool masters; /* ... the group system:masters */
};
/* text: any bytes, at most PKI_PEM_MAX of them. ERR_INVALID: it is no request that counts; err says what is wrong. out
 * may be NULL. */
int pki_request_check(struct str text, struct pki_subject *out, struct error *err);
/* The other names that the request asks for, a line each: "DNS:example.com", "IP Address:10.0.0.1". Of a request that
 * does not count: nothing. */
void pki_request_names(struct str text, struct buf *out);
/* PEM with certificates and nothing else: at least one. ERR_INVALID. */
int pki_certs_check(struct str text, struct error *err);
/* Once, in main, before anything else of OpenSSL's is used: from then on it overwrites all memory that it gives back.
 * False: too late, nothing was changed. */
bool pki_wipe_what_is_freed(void);
void pki_free_key(char *pem); /* wipes, then frees */
/* Subject, validity (seconds since the epoch) of a certificate. */
int pki_cert_info(const char *cert_pem, struct pki_identity *who, int64_t *not_before_s, int64_t *not_after_s,
                  struct error *err);
/* What tells one certificate from others of its subject. The time of issue stands in the serial number, 0x21 and then
 * six bytes of ms since the epoch; the ten that follow are random. Certificates of programs before that have a random
 * number of which the first byte is above 0x3f: theirs is worked out from notBefore. */
#define PKI_SERIAL_SIZE 41 /* hex digits of 20 bytes at most (RFC 5280 4.1.2.2), and NUL */
struct pki_facts {
    char serial[PKI_SERIAL_SIZE]; /* lower case, two digits a byte; "" = no certificate */
    char ca[33];                  /* fingerprint of the CA that it was verified by; "" where that is not known */
    int64_t from_s, until_s;      /* validity */
    int64_t issued_ms;
    int64_t limit_s; /* it was made for so long and is not renewed (pki_sign_user); 0: it is */
};
int pki_cert_facts(const char *cert_pem, struct pki_facts *out, struct error *err); /* but for ca */
/* Hex of the first 16 bytes of SHA-256 over the DER form, and NUL. */
int pki_cert_fingerprint(const char *cert_pem, char out[33], struct error *err);

/* ---- Several CAs at a time (pki/trust.c) ----
 *
 * While a cluster's CA is replaced (master/auth/rotate.h), two are trusted: one text, one certificate behind the other.
 * Malformed parts are passed over here; net_tls_new says what is wrong. */

/* The next certificate of the text, a text of its own that the caller frees; *at moves behind it. NULL: there is no
 * more. */
char *pki_next_cert(const char **at);
/* The CA with this fingerprint, for the caller to free; NULL: it is not among them. */
char *pki_find_ca(const char *cas_pem, const char *fingerprint);
/* The same CAs, the one that the key belongs to first; NULL: it belongs to none. The caller frees. */
char *pki_issuer_first(const char *cas_pem, const char *key_pem);
/* Fingerprint of the CA that has signed the certificate. ERR_NOT_FOUND: none of them. */
int pki_issuer(const char *cas_pem, const char *cert_pem, char out[33], struct error *err);
/* Whether a certificate, and what its owner trusts, are the newest is told by comparing standings: "ISSUER-DIGEST", the
 * fingerprint of the CA that has signed it, and a digest of the CAs that are trusted, whatever their order. */
#define PKI_STANDING_SIZE 66
int pki_standing(const char *cas_pem, const char *cert_pem, char out[PKI_STANDING_SIZE], struct error *err);
/* Has the certificate another standing than this one? False also if it has none. Without checking a signature where one
 * CA is trusted and the answer is no. */
bool pki_stands_otherwise(const char *cas_pem, const char *cert_pem, const char *standing);
void pki_standing_text(const char *issuer, const char *cas_pem, char out[PKI_STANDING_SIZE]);

/* Masters that count no more although a trusted CA has signed them, as words: "3", "5-9" (ids; never given twice),
 * "#21019a.." (a serial number). */
#define PKI_REFUSED_MAX 4096u /* bytes; a longer list is not valid */
bool pki_refused_valid(struct str refused);
bool pki_refused_has(struct str refused, const struct pki_identity *who, const char *serial);

/* ---- The life of a certificate (pki/life.c) ----
 *
 * Masters and nodes live 90 days, users a year, the CA 20 years. Everybody renews by himself when two thirds
 * of the life have passed, so that masters which are away for a month harm nobody; the alarm goes off when less than
 * three tenths of it are left, or 30 days. A node that was switched off for longer is let in with its expired
 * certificate to renew it, and for nothing else, for PKI_EXPIRED_GRACE_S. The CA is not replaced by itself: it ends
 * with the cluster's 20th year, and the alarm goes off a year before. */
#define PKI_CERT_VALID_S       (INT64_C(90) * 24 * 3600)
#define PKI_ADMIN_CERT_VALID_S (INT64_C(365) * 24 * 3600)
#define PKI_EXPIRED_GRACE_S    (INT64_C(365) * 24 * 3600)

/* Two thirds of the life, less up to a thirtieth of it by `random`, so that what was made together is not renewed
 * together. */
int64_t pki_renew_at_s(int64_t not_before_s, int64_t not_after_s, uint32_t random);
/* Milliseconds until the next attempt after that many failures in a row: from a second (or a thousandth of the life, at
 * most a minute) doubling up to an hour (or a thirtieth of the life). */
int64_t pki_renew_pause_ms(int64_t not_before_s, int64_t not_after_s, unsigned failures);

enum pki_state {
    PKI_STATE_OK,
    PKI_STATE_RENEWING, /* "renewing soon": it is due now */
    /* less than three tenths of the life are left, or 30 days if that is less: renewal does not work; CA: less than
     * a year */
    PKI_STATE_EXPIRING,
    PKI_STATE_EXPIRED,
};
enum pki_state pki_cert_state(bool ca, int64_t not_before_s, int64_t not_after_s, int64_t now_s);
const char *pki_state_text(enum pki_state state); /* "ok", "renewing soon", "expiring", "expired" */

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

/* A certificate and its key, two files that are replaced as one. The new certificate is written beside the old one
 * (CERT.next), then the key is replaced, then the certificate: after a crash between any two steps the key belongs to
 * one of the two certificates, and the next pki_read_pair takes that one and tidies up. Files that do not belong
 * together for another reason are returned as they are, and loading them says what is wrong. Certificates are
 * written with mode 0644, keys with 0600. One writer at a time. */
int pki_write_pair(const char *cert_path, const char *key_path, const char *cert_pem, const char *key_pem,
                   struct error *err);
int pki_read_pair(const char *cert_path, const char *key_path, char **cert_pem, char **key_pem, struct error *err);
bool pki_pair_fits(const char *cert_pem, const char *key_pem);

#endif

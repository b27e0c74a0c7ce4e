/* What pki and net share about certificates as OpenSSL holds them. Internal to proto/. */
#ifndef PROTO_PKI_X509_H
#define PROTO_PKI_X509_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>

#include "base/err.h"
#include "proto/pki/pki.h"

#define PKI_OWN_PREFIX        "reeve:" /* of organisations that say a role */
#define PKI_FINGERPRINT_SIZE  16
#define PKI_DATE_SIZE         32
#define PKI_SERIAL_BYTES      17
#define PKI_SERIAL_DATED      0x21 /* its first byte */
#define PKI_SERIAL_TIME_BYTES 6
/* The extension of certificates that nobody renews: an INTEGER, for how many seconds they were made
 * (pki_facts.limit_s). Not critical: who does not know it passes over it. 2.25 is the arc of UUIDs (ITU-T X.667); the
 * one of this is small, since Go's crypto/x509, so kubectl, takes no certificate with an arc above 2^31 - 1. */
#define PKI_LIMIT_OID "2.25.1873204517"
#define PKI_WHO_SIZE  (PKI_NAME_MAX + 32)

/* Parse one PEM text; NULL with err filled (ERR_INVALID) if it is none. The caller frees. */
X509 *pki_x509_parse(const char *pem, struct error *err);
EVP_PKEY *pki_key_parse(const char *pem, struct error *err);
/* A certificate request that is signed by its own key, of a sort and size that pki.h allows. Only PEM that says
 * CERTIFICATE REQUEST, or NEW CERTIFICATE REQUEST. */
X509_REQ *pki_request_parse(const char *pem, struct error *err);
/* For PEM readers of OpenSSL: nobody is asked for a pass phrase. */
int pki_no_passphrase(char *buf, int size, int rwflag, void *u);

const char *pki_role_organization(enum pki_role role); /* "reeve:masters"; NULL for users, and for nobody */
const char *pki_role_word(enum pki_role role);         /* "master" */
/* Role and name by the subject. A name and organisations that are not Reeve's own are a user's; a subject that is
 * neither gives PKI_ROLE_NONE with the name, if it has one. */
void pki_x509_identity(const X509 *cert, struct pki_identity *who);
/* The groups of a user (pki.h). False: they do not fit, or have control characters. */
bool pki_x509_groups(const X509 *cert, char out[PKI_GROUPS_SIZE]);
/* The same of the organisations of any subject; and the one value of an attribute, false if there is none, or several,
 * or it is not plain text. */
bool pki_subject_groups(const X509_NAME *subject, char out[PKI_GROUPS_SIZE]);
bool pki_subject_text(const X509_NAME *subject, int nid, char *out, size_t size);
/* "master 1", "node n1", "admin kate", "CA reeve" for messages. */
void pki_x509_describe(const X509 *cert, char out[PKI_WHO_SIZE]);
/* But for ca. */
void pki_x509_facts(const X509 *cert, struct pki_facts *out);
void pki_x509_fingerprint(const X509 *cert, uint8_t out[PKI_FINGERPRINT_SIZE]);
void pki_fingerprint_text(const uint8_t print[PKI_FINGERPRINT_SIZE], char out[33]);
/* 32 hex digits; false if text is anything else. */
bool pki_fingerprint_parse(const char *text, uint8_t out[PKI_FINGERPRINT_SIZE]);

/* The fingerprint of the one certificate of a text, whatever is in it. False: it is no PEM. */
bool pki_pem_fingerprint(const char *pem, char out[33]);
int64_t pki_seconds(const ASN1_TIME *t);
void pki_date(const ASN1_TIME *t, char out[PKI_DATE_SIZE]); /* RFC 3339 */

/* Text of OpenSSL's newest error in this thread; clears the queue. Static text or a pointer into out. */
const char *pki_openssl_text(char out[160]);

#endif

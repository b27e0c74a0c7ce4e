/* Certificates of users, however they are asked for: by `rctl user add` (the request `user`), or by an approved
 * CertificateSigningRequest (controllers/cluster/certificates.c). */
#ifndef MASTER_AUTH_USER_CALL_H
#define MASTER_AUTH_USER_CALL_H

#include "base/err.h"
#include "base/str.h"

struct master;
/* Leader. A certificate for the request's key, which says that its owner is the user `name` with these groups (as
 * pki_sign_user takes them), good for max_s seconds at most, 0: as long as users' are. Who may be told so was asked
 * before. It is logged with who has asked for it, and counted. *cert_pem: the caller frees. Errors: authority_sign. */
int user_certify(struct master *m, const char *name, const char *groups, const char *csr_pem, int64_t max_s,
                 struct str asked_by, char **cert_pem, int64_t *until_s, struct error *err);

#endif

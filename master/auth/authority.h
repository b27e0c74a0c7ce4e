/* The cluster's CA as this master can use it: who needs a signature, or the CA's key itself, asks here and nowhere
 * else.
 *
 * Loop thread only. Whoever signs leads (the methods that do are METHOD_WRITE), so a signature is asked for at the
 * leader alone.
 *
 * All of these fail with ERR_NO_QUORUM while the key is not at hand, and see to it that it will be: that is an error of
 * the kind that a request waits out within its deadline (front/parked.c), so a call fails with it (call_fail) and is
 * handled anew. */
#ifndef MASTER_AUTH_AUTHORITY_H
#define MASTER_AUTH_AUTHORITY_H

#include "base/err.h"
#include "proto/pki/pki.h"

struct master;

/* A certificate for the request's key, of the life that such a role has (config.h), issued when the list of what is
 * revoked allows (revoked.h). sans: PEM text's names, NULL or "": none. *cert_pem: the caller frees. ERR_INVALID:
 * the request is at fault. */
int authority_sign(struct master *m, const struct pki_identity *who, const char *csr_pem, const char *sans,
                   char **cert_pem, struct error *err);
/* A copy of the key (PEM), for a backup; the caller gives it to pki_free_key. */
int authority_copy_key(struct master *m, char **key_pem, struct error *err);

#endif

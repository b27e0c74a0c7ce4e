/* Whether somebody may decide on, or answer, requests for certificates of a signer: the verbs `approve` and `sign` on
 * the resource `signers` of certificates.k8s.io, by the signer's name or by DOMAIN/ and a star. Source: Kubernetes'
 * admission plugins CertificateApproval and CertificateSigning. */
#ifndef MASTER_AUTH_SIGNER_H
#define MASTER_AUTH_SIGNER_H

#include "master/auth/principal.h"
#include "raft-store/store/view.h"

/* o: the request. 0, or ERR_FORBIDDEN. p NULL: the system itself, which may. */
int signer_may(const struct view *v, const struct principal *p, const char *verb, const struct object *o,
               struct error *err);

#endif

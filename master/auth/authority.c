#include "master/auth/authority.h"

#include "master/auth/revoked.h"
#include "master/master.h"

int authority_sign(struct master *m, const struct pki_identity *who, const char *csr_pem, const char *sans,
                   char **cert_pem, struct error *err)
{
    return pki_sign_request(m->ca_pem, m->ca_key_pem, csr_pem, who, sans == NULL || sans[0] == '\0' ? NULL : sans,
                            master_config_cert_life_s(&m->config, who->role), revoked_stamp(m, who), cert_pem, err);
}

int authority_copy_key(struct master *m, char **key_pem, struct error *err)
{
    (void)err;
    *key_pem = xstrdup(m->ca_key_pem);
    return 0;
}

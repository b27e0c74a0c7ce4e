#include "master/auth/authority.h"

#include "master/auth/revoked.h"
#include "master/auth/rotate.h"
#include "master/master.h"

int authority_sign(struct master *m, const struct pki_identity *who, const char *csr_pem, const char *sans,
                   char **cert_pem, struct error *err)
{
    const char *ca = m->ca_pem, *key = m->ca_key_pem;
    rotate_signer(m, who->role, &ca, &key);
    if (key == NULL) {
        *cert_pem = NULL;
        return error_set(err, ERR_UNSUPPORTED,
                         "this master has not got the key of the cluster's CA, so it can certify nobody; `rctl cert "
                         "rotate-ca` gives the cluster a new CA");
    }
    return pki_sign_request(ca, key, csr_pem, who, sans == NULL || sans[0] == '\0' ? NULL : sans,
                            master_config_cert_life_s(&m->config, who->role), revoked_stamp(m, who), cert_pem, err);
}

int authority_copy_key(struct master *m, char **key_pem, struct error *err)
{
    *key_pem = NULL;
    if (m->ca_key_pem == NULL) {
        return error_set(err, ERR_UNSUPPORTED, "this master has not got the key of the cluster's CA");
    }
    *key_pem = xstrdup(m->ca_key_pem);
    return 0;
}

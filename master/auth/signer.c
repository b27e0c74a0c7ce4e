#include "master/auth/signer.h"

#include <stdio.h>
#include <string.h>

#include "master/auth/access.h"
#include "proto/facts/signing.h"

#define NAME_MAX_BYTES 640u /* of a signer: 571 as its kind allows */

int signer_may(const struct view *v, const struct principal *p, const char *verb, const struct object *o,
               struct error *err)
{
    struct str signer = mp_str(mp_get(object_spec(o), "signerName"));
    const char *slash = signer.n == 0 ? NULL : memchr(signer.p, '/', signer.n);
    char domain[NAME_MAX_BYTES];
    snprintf(domain, sizeof domain, "%.*s/*", slash == NULL ? 0 : (int)(slash - signer.p), signer.p);
    struct access a = {.verb = str_of(verb), .group = STR(SIGNING_GROUP), .resource = STR("signers"), .name = signer};
    if (p == NULL || access_check(v, p, &a, NULL) == 0) {
        return 0;
    }
    a.name = str_of(domain);
    if (access_check(v, p, &a, NULL) == 0) {
        return 0;
    }
    return error_set(err, ERR_FORBIDDEN,
                     "%s." SIGNING_GROUP " \"%.*s\" is forbidden: user not permitted to %s requests with signerName "
                     "\"%.*s\"",
                     o->kind->plural, STR_ARG(o->name), verb, STR_ARG(signer));
}

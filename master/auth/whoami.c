/* whoami: the caller as the leader sees it, wherever it was asked. Kubernetes' SelfSubjectReview. */
#include "master/api/api.h"
#include "master/auth/bearer.h"

void verb_whoami(struct api_call *c)
{
    const struct principal *who = c->who;
    CLEANUP_BUF struct buf b = BUF_INIT;
    bool certificate = who->proof == PROOF_CERTIFICATE;
    const struct principal_as *as = who->as;
    mp_write_map(&b, 2u + (certificate ? 1 : 0) + (who->forwarded_by != 0 ? 1 : 0) + bearer_more(who) +
                         (as == NULL ? 0 : 1u + (as->uid[0] != '\0') + (as->extra.size > 0)));
    bearer_write_more(&b, who);
    mp_write_key_str(&b, "user", str_of(who->name));
    mp_write_cstr(&b, "groups");
    mp_write_array(&b, who->groups_count);
    for (struct str g = STR_NONE; principal_next_group(who, &g);) {
        mp_write_str(&b, g);
    }
    if (certificate) {
        mp_write_cstr(&b, "certificate");
        mp_write_map(&b, 3);
        mp_write_key_str(&b, "serial", str_of(who->facts.serial));
        mp_write_key_str(&b, "ca", str_of(who->facts.ca));
        mp_write_key_int(&b, "issuedMs", who->facts.issued_ms);
    }
    if (as != NULL) {
        mp_write_key_str(&b, "by", str_of(as->by->name));
    }
    if (as != NULL && as->uid[0] != '\0') {
        mp_write_key_str(&b, "uid", str_of(as->uid));
    }
    if (as != NULL && as->extra.size > 0) {
        mp_write_cstr(&b, "extra");
        buf_append(&b, as->extra.data, as->extra.size);
    }
    if (who->forwarded_by != 0) {
        mp_write_key_int(&b, "forwardedBy", (int64_t)who->forwarded_by);
    }
    c->front->told(c, mp_of(b.data, b.size));
}

/* serviceAccountToken, of a projected volume: a token of the account that the pod acts as. */
#include "agent/pod/source.h"
#include "agent/pod/tokens.h"

#define MODE_OWN 0600 /* where it is known who reads it */

static struct token_source read_source(struct mp source)
{
    return (struct token_source){.audience = mp_str(mp_get(source, "audience")),
                                 .path = mp_str(mp_get(source, "path")),
                                 .expiration_s = mp_int(mp_get(source, "expirationSeconds"), TOKEN_EXPIRATION_S)};
}

bool token_source_next(const struct podspec_volume *v, unsigned *cursor, struct token_source *out)
{
    unsigned at = 0;
    for (struct mp_iter it = mp_iter(mp_get(v->source, "sources")); mp_next(&it); at++) {
        struct mp source = mp_get(it.value, "serviceAccountToken");
        if (at >= *cursor && mp_type(source) == MP_MAP) {
            *cursor = at + 1;
            *out = read_source(source);
            return true;
        }
    }
    return false;
}

/* Ephemeral containers come later, and are not asked. */
int64_t token_source_user(const struct podspec *s)
{
    int64_t user = -1;
    for (unsigned i = 0; i < s->main_count; i++) {
        int64_t own = s->containers[i].security.run_as_user;
        if (own < 0 || (user >= 0 && user != own)) {
            return -1;
        }
        user = own;
    }
    return user;
}

/* As the kubelet does: only its user (and the group, see agent/volume) may read it if that is known, else who may read
 * the volume's other files. */
static int project(struct source_files *l, struct mp source, struct error *err)
{
    struct token_source wanted = read_source(source);
    struct str token = STR("");
    int64_t user = token_source_user(l->spec);
    int rv = l->facts->tokens == NULL
                 ? 0
                 : tokens_get(l->facts->tokens, l->spec->uid, wanted.audience, wanted.expiration_s, &token, err);
    l->secret = true;
    if (rv != 0) {
        return rv == ERR_NOT_FOUND ? 0 : rv; /* it comes with a master */
    }
    struct volume_file *file = source_add_file(l, arena_strndup(l->arena, wanted.path.p, wanted.path.n), token,
                                               user >= 0 || l->spec->fs_group >= 0 ? MODE_OWN : l->mode);
    file->user = MAX(user, 0);
    return 0;
}

const struct source source_token = {
    .name = "serviceAccountToken",
    .project = project,
};

/* What an image's name says of how it is fetched and kept. */
#include "agent/image/image_int.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum image_policy image_policy_of(struct str policy, const char *ref)
{
    if (str_is(policy, "Never")) {
        return IMAGE_PULL_NEVER;
    }
    if (str_is(policy, "Always")) {
        return IMAGE_PULL_ALWAYS;
    }
    char name[IMAGE_REF_MAX];
    if (str_empty(policy) && image_name_normalise(str_of(ref), name, NULL) == 0 &&
        str_ends(str_of(name), STR(":latest"))) {
        return IMAGE_PULL_ALWAYS;
    }
    return IMAGE_PULL_IF_NOT_PRESENT;
}

void image_sha256(const void *p, size_t n, char hex[IMAGE_HEX_SIZE])
{
    unsigned char md[SHA256_DIGEST_LENGTH];
    SHA256(p, n, md);
    for (unsigned i = 0; i < sizeof md; i++) {
        snprintf(hex + 2 * i, 3, "%02x", md[i]);
    }
}

char *image_ref_escape(const char *ref)
{
    char *out = xmalloc(strlen(ref) * 3 + 1), *o = out;
    for (; *ref != '\0'; ref++) {
        if (*ref == '/' || *ref == '%') {
            o += sprintf(o, "%%%02X", (unsigned char)*ref);
        } else {
            *o++ = *ref;
        }
    }
    *o = '\0';
    return out;
}

char *image_ref_unescape(const char *name)
{
    char *out = xmalloc(strlen(name) + 1), *o = out;
    while (*name != '\0') {
        unsigned c;
        if (name[0] == '%' && sscanf(name + 1, "%2x", &c) == 1 && name[1] != '\0' && name[2] != '\0') {
            *o++ = (char)c;
            name += 3;
        } else {
            *o++ = *name++;
        }
    }
    *o = '\0';
    return out;
}

#define _GNU_SOURCE
#include "os/address.h"

#include "base/assert.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* "[" host "]:65535" must fit into what a member may advertise. */
static_assert(ADDRESS_HOST_BYTES_MAX + 8u <= MORTAR_ADDRESS_BYTES_MAX, "a formatted address fits");

static bool is_host_byte(uint8_t byte, bool in_brackets)
{
    const bool is_name = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                         (byte >= '0' && byte <= '9') || byte == '.' || byte == '-' || byte == '_';
    return is_name || (in_brackets && (byte == ':' || byte == '%'));
}

/* Decimal, 0..65535, at most five digits. */
static bool parse_port(const uint8_t *data, size_t bytes, uint16_t *out_port)
{
    if (bytes == 0 || bytes > 5) return false;
    uint32_t port = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (data[i] < '0' || data[i] > '9') return false;
        port = port * 10u + (uint32_t)(data[i] - '0');
    }
    if (port > UINT16_MAX) return false;
    *out_port = (uint16_t)port;
    return true;
}

enum mortar_status address_parse(struct mortar_bytes text, struct address *out_address)
{
    size_t colon = text.bytes; /* The last one: before it the host, behind it the port. */
    for (size_t i = 0; i < text.bytes; i++) {
        if (text.data[i] == ':') colon = i;
    }
    if (colon == text.bytes) return MORTAR_E_ADDRESS;
    const uint8_t *host = text.data;
    size_t host_bytes = colon;
    const bool in_brackets = host_bytes >= 2 && host[0] == '[' && host[host_bytes - 1] == ']';
    if (in_brackets) {
        host += 1;
        host_bytes -= 2;
    }
    if (host_bytes == 0 || host_bytes > ADDRESS_HOST_BYTES_MAX) return MORTAR_E_ADDRESS;

    struct address address = {0};
    for (size_t i = 0; i < host_bytes; i++) {
        if (!is_host_byte(host[i], in_brackets)) return MORTAR_E_ADDRESS;
        address.host[i] = (char)host[i];
    }
    if (!parse_port(text.data + colon + 1, text.bytes - colon - 1, &address.port))
        return MORTAR_E_ADDRESS;
    *out_address = address;
    return MORTAR_OK;
}

/* `text` without blanks at its ends. */
static struct mortar_bytes trim(const char *text, size_t bytes)
{
    while (bytes > 0 && *text == ' ') {
        text++;
        bytes--;
    }
    while (bytes > 0 && text[bytes - 1] == ' ')
        bytes--;
    return (struct mortar_bytes){.data = (const uint8_t *)text, .bytes = bytes};
}

enum mortar_status address_list_parse(const char *text, struct address *out_addresses, size_t max,
                                      size_t *out_count)
{
    size_t count = 0;
    if (trim(text, strlen(text)).bytes == 0) {
        *out_count = 0;
        return MORTAR_OK;
    }
    for (;;) {
        const size_t bytes = strcspn(text, ",");
        struct address address;
        const enum mortar_status status = address_parse(trim(text, bytes), &address);
        if (status != MORTAR_OK) return status;
        if (count == max) return MORTAR_E_TOO_LARGE;
        out_addresses[count++] = address;
        if (text[bytes] == '\0') break;
        text += bytes + 1;
    }
    *out_count = count;
    return MORTAR_OK;
}

void address_format(const struct address *address, char out_text[ADDRESS_TEXT_BYTES])
{
    const bool brackets = strchr(address->host, ':') != NULL;
    const int length = snprintf(out_text, ADDRESS_TEXT_BYTES, "%s%s%s:%u", brackets ? "[" : "",
                                address->host, brackets ? "]" : "", (unsigned)address->port);
    ASSERT(length > 0 && (size_t)length < ADDRESS_TEXT_BYTES);
}

bool address_equal(const struct address *a, const struct address *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* wire/bond_text.c - the reasons of a refused bond in words. */
#include "wire/bond_text.h"

#include "wire/bond.h"

/* Appends what fits; the text stays closed after each step. */
struct text {
    char *chars;
    size_t bytes;
};

static struct text text_over(char *chars)
{
    chars[0] = '\0';
    return (struct text){.chars = chars};
}

static void add(struct text *text, const char *words)
{
    for (const char *at = words; *at != '\0' && text->bytes < BOND_TEXT_BYTES_MAX; at++) {
        text->chars[text->bytes++] = *at >= ' ' && *at <= '~' ? *at : '?';
    }
    text->chars[text->bytes] = '\0';
}

static void add_quoted(struct text *text, const char *name)
{
    add(text, "\"");
    add(text, name);
    add(text, "\"");
}

static void add_number(struct text *text, uint32_t number)
{
    char digits[11]; /* 2^32 - 1 has ten. */
    size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    add(text, digits + at);
}

static void add_hex(struct text *text, const uint8_t *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        const char pair[3] = {digits[bytes[i] >> 4], digits[bytes[i] & 15], '\0'};
        add(text, pair);
    }
}

static void add_range(struct text *text, struct bond_range range)
{
    add_number(text, range.min);
    add(text, "..");
    add_number(text, range.max);
}

static void add_name(struct text *text, struct bond_name name)
{
    add_quoted(text, name.name);
    add(text, " epoch ");
    add_number(text, name.epoch);
}

void bond_text_plain(char *out_text, const char *text)
{
    struct text plain = text_over(out_text);
    add(&plain, text);
}

void bond_text_frame(char *out_text, const char *what, uint8_t type)
{
    struct text text = text_over(out_text);
    add(&text, what);
    add(&text, " frame ");
    add_number(&text, type);
    if (type < BOND_HELLO || type > BOND_MEMBERS) return;
    add(&text, " (");
    add(&text, bond_type_name((enum bond_type)type));
    add(&text, ")");
}

void bond_text_names(char *out_text, const char *subject, const char *here, const char *there)
{
    struct text text = text_over(out_text);
    add(&text, subject);
    add(&text, " ");
    add_quoted(&text, here);
    add(&text, " here, ");
    add_quoted(&text, there);
    add(&text, " there");
}

void bond_text_epochs(char *out_text, const char *subject, struct bond_name here,
                      struct bond_name there)
{
    struct text text = text_over(out_text);
    add(&text, subject);
    add(&text, " ");
    add_name(&text, here);
    add(&text, " here, ");
    add_name(&text, there);
    add(&text, " there");
}

void bond_text_ranges(char *out_text, const char *subject, struct bond_range here,
                      struct bond_range there)
{
    struct text text = text_over(out_text);
    add(&text, subject);
    add(&text, " versions ");
    add_range(&text, here);
    add(&text, " here, ");
    add_range(&text, there);
    add(&text, " there");
}

void bond_text_births(char *out_text, const struct mortar_birth_id *here,
                      const struct mortar_birth_id *there)
{
    struct text text = text_over(out_text);
    add(&text, "birth ");
    add_hex(&text, here->bytes, 4);
    add(&text, " here, ");
    add_hex(&text, there->bytes, 4);
    add(&text, " there");
}

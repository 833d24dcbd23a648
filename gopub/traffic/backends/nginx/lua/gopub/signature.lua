-- Whether a route table is signed by a key that this edge believes: asked where a table is put or loaded, never in a
-- request. A signature is `KEY:BASE64`, ECDSA on P-256 with SHA-256 (DER) over a line of its own and the raw bytes of
-- the table; KEY is the SHA-256 of the public key in hex, and so is the name of its file, KEY.pem.
--
-- The keys are read by the master, at the start and at each reload, and inherited by the workers. Once there is a key
-- file, nothing unsigned is taken, also where the file cannot be used: a broken key must not open the door.
-- The calls are to the libcrypto that nginx links. Each leaves its queue of errors empty: nginx takes what lies there
-- for an error of whatever TLS connection it looks at next.

local ffi = require "ffi"
local disk = require "gopub.disk"

-- By names of our own: another module may have declared the same functions with other types.
ffi.cdef [[
void *gopub_bio_new(const void *bytes, int length) __asm__("BIO_new_mem_buf");
int gopub_bio_free(void *bio) __asm__("BIO_free");
void *gopub_read_pubkey(void *bio, void **key, void *callback, void *data) __asm__("PEM_read_bio_PUBKEY");
int gopub_i2d_pubkey(const void *key, unsigned char **out) __asm__("i2d_PUBKEY");
void gopub_pkey_free(void *key) __asm__("EVP_PKEY_free");
void *gopub_md_ctx_new(void) __asm__("EVP_MD_CTX_new");
void gopub_md_ctx_free(void *context) __asm__("EVP_MD_CTX_free");
const void *gopub_sha256(void) __asm__("EVP_sha256");
int gopub_digest(const void *data, size_t count, unsigned char *digest, unsigned int *size, const void *kind,
                 void *engine) __asm__("EVP_Digest");
int gopub_verify_init(void *context, void **pkey_context, const void *kind, void *engine, void *key)
                      __asm__("EVP_DigestVerifyInit");
int gopub_verify(void *context, const unsigned char *signature, size_t length, const unsigned char *data, size_t count)
                 __asm__("EVP_DigestVerify");
void gopub_clear_errors(void) __asm__("ERR_clear_error");
int gopub_decode_block(unsigned char *out, const unsigned char *text, int length) __asm__("EVP_DecodeBlock");
int gopub_encode_block(unsigned char *out, const unsigned char *data, int length) __asm__("EVP_EncodeBlock");
]]

local C = ffi.C
local HAS_CRYPTO = pcall(function()
  return C.gopub_sha256
end)
local DOMAIN = "gopub-table-v1\n"
-- What a SubjectPublicKeyInfo of an uncompressed point on P-256 begins with; 64 bytes follow.
local P256 = "\48\89\48\19\6\7\42\134\72\206\61\2\1\6\8\42\134\72\206\61\3\1\7\3\66\0\4"
local KEY_LENGTH = #P256 + 64
local MOST_KEY_FILE = 4096
local MOST = 256 -- characters of a signature: 64 for the key, a colon, 96 at most for 72 bytes
local PEM = "^%s*%-%-%-%-%-BEGIN PUBLIC KEY%-%-%-%-%-[\r\n]+[A-Za-z0-9+/=\r\n]+%-%-%-%-%-END PUBLIC KEY%-%-%-%-%-%s*$"

local _M = {}

--- Why a signature does not count, as the counter says it.
_M.REASONS = { "missing", "malformed", "unknown-key", "wrong" }

local keys = {} -- fingerprint -> EVP_PKEY
local broken = {} -- name of a file -> why
local asked = false -- whether nothing unsigned is taken

local function in_hex(bytes)
  return (bytes:gsub(".", function(byte)
    return ("%02x"):format(byte:byte())
  end))
end

--- The SHA-256 of a text in hex; nil where nginx has no libcrypto.
function _M.digest(text)
  if not HAS_CRYPTO then
    return nil
  end
  local out = ffi.new("unsigned char[32]")
  local fine = C.gopub_digest(text, #text, out, nil, C.gopub_sha256(), nil) == 1
  C.gopub_clear_errors()
  return fine and in_hex(ffi.string(out, 32)) or nil
end

-- The bytes of a text in Base64 that is written in its one form, or nil.
local function decoded(text)
  if #text == 0 or #text % 4 ~= 0 or not text:find("^[A-Za-z0-9+/]+=?=?$") then
    return nil
  end
  local out = ffi.new("unsigned char[?]", #text)
  local count = C.gopub_decode_block(out, text, #text)
  count = count - #text:match("=*$")
  local again = ffi.new("unsigned char[?]", #text + 1)
  local same = count > 0 and C.gopub_encode_block(again, out, count) == #text and ffi.string(again, #text) == text
  C.gopub_clear_errors()
  return same and ffi.string(out, count) or nil
end

--- A signature as it is written, as {key, der}; nil where it is not.
function _M.read(text)
  if type(text) ~= "string" or #text > MOST then
    return nil
  end
  local key, rest = text:match("^(%x+):(.+)$")
  if not key or #key ~= 64 or key:lower() ~= key then
    return nil
  end
  local der = decoded(rest)
  return der and { key = key, der = der } or nil
end

-- Keys ---------------------------------------------------------------------------------------------------------

local function parse_key(text)
  local bio = C.gopub_bio_new(text, #text)
  if bio == nil then
    return nil
  end
  local key = C.gopub_read_pubkey(bio, nil, nil, nil)
  C.gopub_bio_free(bio)
  return key ~= nil and ffi.gc(key, C.gopub_pkey_free) or nil
end

local function der_of(key)
  local length = C.gopub_i2d_pubkey(key, nil)
  if length ~= KEY_LENGTH then
    return ""
  end
  local out = ffi.new("unsigned char[?]", length)
  local at = ffi.new("unsigned char *[1]", out)
  C.gopub_i2d_pubkey(key, at)
  return ffi.string(out, length)
end

--- The key of a PEM text and its fingerprint; nil and why it cannot be used.
function _M.key_of(text)
  if #text > MOST_KEY_FILE or not text:find(PEM) then
    return nil, "it is not one public key in PEM and nothing else"
  end
  local key = parse_key(text)
  local der = key and der_of(key) or ""
  C.gopub_clear_errors()
  if not key then
    return nil, "it is not a public key in PEM"
  elseif der:sub(1, #P256) ~= P256 then
    return nil, "it is no ECDSA key on P-256 (uncompressed, by the curve's name)"
  end
  return key, _M.digest(der)
end

local function load_key(path, name)
  local text, problem = disk.read(path)
  if not text then
    return problem
  end
  if not HAS_CRYPTO then
    return "this nginx is built without OpenSSL"
  end
  local key, found = _M.key_of(text)
  if not key then
    return found
  elseif found ~= name then
    return ("it holds key %s: call it %s.pem"):format(found, found)
  end
  keys[found] = key
  return nil
end

-- Why a file that is not called as keys are closes the door as well: it holds one, and who laid it means it to count.
local function misnamed(path)
  local text = disk.read(path)
  if text and text:find("-----BEGIN", 1, true) then
    return "a key's file is called FINGERPRINT.pem"
  end
  return nil
end

--- Reads the key files of a directory. One that is not there holds none; one that cannot be read may hold some.
function _M.load(path)
  keys, broken, asked = {}, {}, false
  local names, problem, gone = disk.list(path)
  if not names and gone then
    return
  elseif not names then
    asked, broken[path] = true, problem
    return
  end
  for _, file in ipairs(names) do
    local name = file:match("^(.+)%.pem$")
    if name then
      asked, broken[file] = true, load_key(path .. "/" .. file, name)
    else
      broken[file] = misnamed(path .. "/" .. file)
      asked = asked or broken[file] ~= nil
    end
  end
end

--- The fingerprints that are believed, sorted, and {file = why} of what could not be used.
function _M.keys()
  local names = {}
  for name in pairs(keys) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names, broken
end

-- Verifying ----------------------------------------------------------------------------------------------------

local function verifies(key, der, text)
  local context = C.gopub_md_ctx_new()
  if context == nil then
    return false
  end
  local signed = DOMAIN .. text
  local fine = C.gopub_verify_init(context, nil, C.gopub_sha256(), nil, key) == 1
    and C.gopub_verify(context, der, #der, signed, #signed) == 1
  C.gopub_md_ctx_free(context)
  C.gopub_clear_errors()
  return fine
end

local function refused(reason, text)
  return nil, { reason = reason, text = text }
end

local function unknown(key)
  local why = broken[key .. ".pem"]
  if why then
    return refused("unknown-key", ("key %s cannot be used here: %s"):format(key:sub(1, 16), why))
  end
  return refused("unknown-key", ("key %s is not among those that this edge believes"):format(key:sub(1, 16)))
end

--- What a table's signature is worth: {text, key, believed}, with no text and key where it is unsigned and may be; nil
-- and {reason, text} where the table must not be used. `given` is the header: nil, a text, or a list of several.
function _M.consider(text, given)
  if given == nil or given == "" then
    if asked then
      return refused("missing", "the table is not signed")
    end
    return { believed = false }
  end
  if not HAS_CRYPTO and not asked then
    return { believed = false } -- it cannot be kept either
  end
  local signature = HAS_CRYPTO and _M.read(given)
  if not signature then
    return refused("malformed", "its signature is not one KEY:BASE64")
  elseif not asked then
    return { text = given, key = signature.key, believed = false }
  end
  local key = keys[signature.key]
  if not key then
    return unknown(signature.key)
  elseif not verifies(key, signature.der, text) then
    return refused("wrong", ("key %s did not sign these bytes"):format(signature.key:sub(1, 16)))
  end
  return { text = given, key = signature.key, believed = true }
end

return _M

{
  asl20.spdxId = "Apache-2.0";
  bsd3.spdxId = "BSD-3-Clause";
  curl.spdxId = "curl";
  gpl2.spdxId = "GPL-2.0-only";
  gpl3.spdxId = "GPL-3.0-or-later";
  libpng.spdxId = "Libpng";
  mit.spdxId = "MIT";
  publicDomain.fullName = "Public Domain";
  vim.spdxId = "Vim";
  zlib.spdxId = "Zlib";
}

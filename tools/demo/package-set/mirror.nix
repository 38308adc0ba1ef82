{
  url = "@mirror@";
}

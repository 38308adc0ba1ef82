{
  ada = {
    name = "Ada";
    github = "ada";
  };
  grace = {
    name = "Grace";
    github = "grace";
  };
  lin = {
    name = "Lin";
    github = "lin";
  };
  mary = {
    name = "Mary";
    github = "mary";
  };
}

in vec3 world, world_normal, albedo, local;
out vec4 pixel;

void main() {  // sun that wraps around, and shines through towards the camera
  vec3 normal = normalize(world_normal);
  float through = max(dot(normalize(world - eye), sun), 0.0);
  float direct = max(0.25 + 0.75 * dot(normal, sun), 0.0) + 0.35 * through * through * through;
  pixel = shade(albedo, normal, sunlit(world) * direct, world);
}
